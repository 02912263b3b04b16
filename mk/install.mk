PREFIX ?= /usr/local
SBINDIR = $(DESTDIR)$(PREFIX)/sbin
MANDIR = $(DESTDIR)$(PREFIX)/share/man

.PHONY: install
install: all ## install programs and man pages (DESTDIR=, PREFIX=/usr/local)
	install -d $(SBINDIR) $(MANDIR)/man5 $(MANDIR)/man8
	install -m 755 $(addprefix $(BIN)/,$(PROGRAMS)) $(SBINDIR)
	install -m 644 $(wildcard docs/man/*.5) $(MANDIR)/man5
	install -m 644 $(wildcard docs/man/*.8) $(MANDIR)/man8
