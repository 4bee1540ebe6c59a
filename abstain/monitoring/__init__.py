"""After deployment: whether a promise still holds, from labels as they arrive, and a light where there are none."""

from abstain.monitoring.display import RiskMonitorDisplay
from abstain.monitoring.evidence import log_evidence
from abstain.monitoring.light import LightReport, WarningLight
from abstain.monitoring.risk_monitor import RiskMonitor
from abstain.monitoring.running import RunningCertificate

__all__ = ["LightReport", "RiskMonitor", "RiskMonitorDisplay", "RunningCertificate", "WarningLight", "log_evidence"]
