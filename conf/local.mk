# conf: its part of the one Makefile
