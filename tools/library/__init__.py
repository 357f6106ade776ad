"""Hours of video in the tiny models' world, with exact ground truth."""
