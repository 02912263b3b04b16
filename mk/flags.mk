# Compiler flags. CC, CFLAGS and LDFLAGS of the caller are added, not replaced.
BUILD ?= build
V ?= 0
Q := $(if $(filter 1,$(V)),,@)

VERSION := 0.1.0
ifeq ($(origin CC),default)
CC := gcc
endif

WARNINGS := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla \
	-Wpointer-arith -Wwrite-strings -Wundef -Wformat=2 -Wold-style-definition
ifneq ($(WERROR),0)
WARNINGS += -Werror
endif

BASE_CFLAGS := -std=c11 -D_GNU_SOURCE -I. -O2 -g -fno-strict-aliasing -fstack-protector-strong \
	-D_FORTIFY_SOURCE=2 -fPIE $(WARNINGS) -DDETOUR_VERSION='"$(VERSION)"'
BASE_LDFLAGS := -pie -Wl,-z,relro,-z,now

# SAN=1: AddressSanitizer and UBSan, into their own build folder.
ifeq ($(SAN),1)
override BUILD := $(BUILD)/san
BASE_CFLAGS := $(filter-out -D_FORTIFY_SOURCE=2,$(BASE_CFLAGS)) -O1 -fno-omit-frame-pointer \
	-fsanitize=address,undefined -fno-sanitize-recover=all
BASE_LDFLAGS += -fsanitize=address,undefined
endif

# TSAN=1: ThreadSanitizer, likewise.
ifeq ($(TSAN),1)
override BUILD := $(BUILD)/tsan
BASE_CFLAGS := $(filter-out -D_FORTIFY_SOURCE=2,$(BASE_CFLAGS)) -O1 -fno-omit-frame-pointer -fsanitize=thread
BASE_LDFLAGS += -fsanitize=thread
endif

ALL_CFLAGS = $(BASE_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = $(BASE_LDFLAGS) $(LDFLAGS)

BIN := $(BUILD)/bin
OBJ := $(BUILD)/obj
