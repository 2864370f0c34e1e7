"""From predictions to numbers: curves, intervals, paired differences, agreement, calibration."""
