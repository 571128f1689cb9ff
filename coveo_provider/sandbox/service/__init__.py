"""What the stand-in for the cloud does, without HTTP."""
