# schema: its part of the one Makefile
