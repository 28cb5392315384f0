"""DICOM in and out: a CT series as a volume, and label maps as RTSTRUCT and SEG beside it."""
