PREFIX ?= /usr/local
SBINDIR = $(DESTDIR)$(PREFIX)/sbin
MANDIR = $(DESTDIR)$(PREFIX)/share/man
UNITDIR = $(DESTDIR)$(PREFIX)/lib/systemd/system
UNITS := ipsecd.service routed-bridge.service

.PHONY: install
install: all ## install programs, man pages, systemd units (DESTDIR=, PREFIX=/usr/local)
	install -d $(SBINDIR) $(MANDIR)/man5 $(MANDIR)/man8 $(UNITDIR)
	install -m 755 $(addprefix $(BIN)/,$(PROGRAMS)) $(SBINDIR)
	install -m 644 $(wildcard docs/man/*.5) $(MANDIR)/man5
	install -m 644 $(wildcard docs/man/*.8) $(MANDIR)/man8
	for unit in $(UNITS); do \
		sed 's|@SBINDIR@|$(PREFIX)/sbin|' mk/systemd/$$unit.in >$(UNITDIR)/$$unit || exit 1; \
	done
