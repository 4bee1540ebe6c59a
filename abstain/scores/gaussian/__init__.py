"""Difficulty by Gaussians that share one covariance, from sums that add up."""
