"""Imported by every Python process that finds this folder on its path, when it starts."""

import faults

faults.use_in_this_process()
