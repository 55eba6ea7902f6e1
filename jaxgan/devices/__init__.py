"""Maps work over devices, and joins what the devices computed."""
