"""Gates: a candidate against bars and against the champion."""
