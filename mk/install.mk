PREFIX ?= /usr/local
SBINDIR = $(DESTDIR)$(PREFIX)/sbin
MANDIR = $(DESTDIR)$(PREFIX)/share/man
UNITDIR = $(DESTDIR)$(PREFIX)/lib/systemd/system
SYSUSERSDIR = $(DESTDIR)$(PREFIX)/lib/sysusers.d
TMPFILESDIR = $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
APPARMORDIR = $(DESTDIR)/etc/apparmor.d
UNITS := ipsecd.service routed-bridge.service
PROFILES := ipsecd routed-bridge
PAGES5 := $(notdir $(wildcard docs/man/*.5))
PAGES8 := $(notdir $(wildcard docs/man/*.8))

.PHONY: install uninstall
install: all ## install programs, man pages, units, users, AppArmor profiles (DESTDIR=, PREFIX=/usr/local)
	install -d $(SBINDIR) $(MANDIR)/man5 $(MANDIR)/man8 $(UNITDIR) $(SYSUSERSDIR) $(TMPFILESDIR) $(APPARMORDIR)
	install -m 755 $(addprefix $(BIN)/,$(PROGRAMS)) $(SBINDIR)
	install -m 644 $(addprefix docs/man/,$(PAGES5)) $(MANDIR)/man5
	install -m 644 $(addprefix docs/man/,$(PAGES8)) $(MANDIR)/man8
	install -m 644 mk/systemd/sysusers.conf $(SYSUSERSDIR)/detour.conf
	install -m 644 mk/systemd/tmpfiles.conf $(TMPFILESDIR)/detour.conf
	for unit in $(UNITS); do \
		sed 's|@SBINDIR@|$(PREFIX)/sbin|' mk/systemd/$$unit.in >$(UNITDIR)/$$unit || exit 1; \
	done
	for profile in $(PROFILES); do \
		sed 's|@SBINDIR@|$(PREFIX)/sbin|' mk/apparmor/$$profile.in >$(APPARMORDIR)/$$profile || exit 1; \
	done

uninstall: ## remove what install put there
	rm -f $(addprefix $(SBINDIR)/,$(PROGRAMS)) $(addprefix $(MANDIR)/man5/,$(PAGES5)) \
		$(addprefix $(MANDIR)/man8/,$(PAGES8)) $(addprefix $(UNITDIR)/,$(UNITS)) \
		$(addprefix $(APPARMORDIR)/,$(PROFILES)) $(SYSUSERSDIR)/detour.conf $(TMPFILESDIR)/detour.conf
