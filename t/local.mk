# t: its part of the one Makefile
