/* What ps shows of this process. */
#ifndef DETOUR_TITLE_H
#define DETOUR_TITLE_H

/* Writes over argv, which nobody may use afterwards, and its strings: copy what is needed. */
void title_set(int argc, char **argv, const char *title);

#endif
