# wh: its part of the one Makefile
