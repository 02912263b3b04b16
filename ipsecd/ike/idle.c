/* What is done ahead while there is nothing else to do. Decides the order. */
#include "ipsecd/ike/init.h"

bool ike_engine_has_idle_work(const struct ike_engine *e)
{
	return !e->shutting_down && !e->restoring && (e->underived || pairs_short(e));
}

/* A peer that is half way in comes before those that may come. */
static void do_one(struct ike_engine *e)
{
	if (e->underived)
		init_make_keys_ahead(e);
	else
		pairs_make(e);
}

void ike_engine_idle(struct ike_engine *e, mono_time now)
{
	engine_input_begin(e, now);
	if (ike_engine_has_idle_work(e))
		do_one(e);
	engine_input_end(e);
}
