# t: its part of the one Makefile
include t/unit/local.mk
include t/fuzz/local.mk
