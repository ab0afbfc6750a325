# wh-scheduler: its part of the one Makefile
