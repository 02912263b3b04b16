/* What is kept from one program to the next, with the versions of its formats. */
#ifndef DETOUR_FORMATS_H
#define DETOUR_FORMATS_H

/* Two programs that say the same here can follow each other. Static. */
const char *formats_kept(void);

#endif
