/* A configuration as text, every field of it, for golden files. */
#ifndef DETOUR_CONN_DUMP_H
#define DETOUR_CONN_DUMP_H

#include "ipsecd/model/conn.h"
#include "ipsecd/model/secret.h"
#include "ipsecd/model/settings.h"

#include <stdio.h>

void conn_dump(const struct conn *c, FILE *out);
void settings_dump(const struct settings *s, FILE *out);
/* Shows the secret's bytes: for tests with made-up secrets only. */
void secret_dump(const struct secret *s, FILE *out);

#endif
