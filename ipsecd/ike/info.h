/* Views of SAs for events and list-sas. */
#ifndef DETOUR_INFO_H
#define DETOUR_INFO_H

#include "ipsecd/ike/sa.h"

void info_ike(const struct ike_sa *sa, struct ike_sa_info *out);
void info_child(const struct child *c, struct ike_child_info *out);

#endif
