/* Key pairs made ahead. Must not know which exchange takes them, nor when there is time. */
#include "ipsecd/ike/core.h"

#include <stdlib.h>
#include <utlist.h>

struct pair {
	struct pair *prev, *next;
	struct crypto_ke *ke;
	mono_time made;
	uint8_t random[CRYPTO_KE_RANDOM];
	uint8_t public_value[]; /* of alg->public_len */
};

static void pair_free(struct ike_engine *e, const struct algorithm_ke *alg, struct pair *p)
{
	e->env.crypto->ke_free(p->ke);
	explicit_bzero(p, sizeof(*p) + alg->public_len);
	free(p);
}

static struct pair *take_first(struct pair_stock *s)
{
	struct pair *p = s->pairs;

	if (p) {
		DL_DELETE(s->pairs, p);
		s->n--;
	}
	return p;
}

static void empty(struct ike_engine *e, struct pair_stock *s)
{
	struct pair *p;

	while ((p = take_first(s)))
		pair_free(e, s->alg, p);
}

/* ---- time ---- */

static void arm(struct ike_engine *e)
{
	mono_time at = MONO_NEVER;

	for (unsigned i = 0; i < PAIR_GROUPS; i++) {
		const struct pair *p = e->pairs.stocks[i].pairs;

		if (p && p->made + PAIR_LIFE < at)
			at = p->made + PAIR_LIFE;
	}
	timer_set(&e->timers, &e->pairs.timer, at);
}

/* Nobody wanted that many. */
static void drop_old(struct ike_engine *e, struct pair_stock *s)
{
	while (s->pairs && s->pairs->made + PAIR_LIFE <= e->now) {
		pair_free(e, s->alg, take_first(s));
		if (s->want / 2 >= PAIRS_MIN)
			s->want /= 2;
	}
}

static void expire(struct ike_engine *e, void *owner)
{
	struct pairs *all = owner;

	for (unsigned i = 0; i < PAIR_GROUPS; i++)
		drop_old(e, &all->stocks[i]);
	arm(e);
}

bool pairs_init(struct ike_engine *e)
{
	timer_init(&e->pairs.timer, expire, &e->pairs);
	return timer_heap_reserve(&e->timers, 1);
}

void pairs_free(struct ike_engine *e)
{
	timer_cancel(&e->timers, &e->pairs.timer);
	for (unsigned i = 0; i < PAIR_GROUPS; i++)
		empty(e, &e->pairs.stocks[i]);
}

/* ---- stocks ---- */

/* Its own, or that of the group that nobody asked for the longest. */
static struct pair_stock *stock_of(struct ike_engine *e, const struct algorithm_ke *alg)
{
	struct pair_stock *all = e->pairs.stocks, *oldest = &all[0];

	for (unsigned i = 0; i < PAIR_GROUPS; i++) {
		if (all[i].alg == alg)
			return &all[i];
		if (all[i].used < oldest->used)
			oldest = &all[i];
	}
	empty(e, oldest);
	*oldest = (struct pair_stock){.alg = alg};
	return oldest;
}

static struct pair_stock *use(struct ike_engine *e, const struct algorithm_ke *alg)
{
	struct pair_stock *s = stock_of(e, alg);

	s->used = ++e->pairs.uses;
	if (s->want < PAIRS_MIN)
		s->want = PAIRS_MIN;
	return s;
}

void pairs_expect(struct ike_engine *e, const struct algorithm_ke *alg)
{
	if (alg)
		use(e, alg);
}

static struct crypto_ke *draw(struct ike_engine *e, const struct algorithm_ke *alg,
			      uint8_t random[CRYPTO_KE_RANDOM], uint8_t *public_value)
{
	struct crypto_ke *ke;

	engine_random(e, random, CRYPTO_KE_RANDOM);
	ke = e->env.crypto->ke_new(alg->id, random, public_value);
	if (!e->publisher)
		explicit_bzero(random, CRYPTO_KE_RANDOM);
	return ke;
}

struct crypto_ke *pairs_take(struct ike_engine *e, const struct algorithm_ke *alg,
			     uint8_t random[CRYPTO_KE_RANDOM], uint8_t *public_value)
{
	struct pair_stock *s = use(e, alg);
	struct pair *p = take_first(s);
	struct crypto_ke *ke;

	if (!p) {
		s->want = s->want * 2 < PAIRS_MAX ? s->want * 2 : PAIRS_MAX;
		return draw(e, alg, random, public_value);
	}
	ke = p->ke;
	p->ke = NULL;
	memcpy(random, p->random, CRYPTO_KE_RANDOM);
	memcpy(public_value, p->public_value, alg->public_len);
	pair_free(e, alg, p);
	return ke;
}

static struct pair_stock *short_one(const struct ike_engine *e)
{
	for (unsigned i = 0; i < PAIR_GROUPS; i++) {
		const struct pair_stock *s = &e->pairs.stocks[i];

		if (s->alg && s->n < s->want)
			return (struct pair_stock *)s;
	}
	return NULL;
}

bool pairs_short(const struct ike_engine *e)
{
	return short_one(e) != NULL;
}

void pairs_make(struct ike_engine *e)
{
	struct pair_stock *s = short_one(e);
	struct pair *p = s ? calloc(1, sizeof(*p) + s->alg->public_len) : NULL;

	if (!s)
		return;
	if (p)
		p->ke = draw(e, s->alg, p->random, p->public_value);
	if (!p || !p->ke) {
		s->want = 0; /* not again before somebody asks for one */
		if (p)
			pair_free(e, s->alg, p);
		return;
	}
	p->made = e->now;
	DL_APPEND(s->pairs, p);
	s->n++;
	if (!timer_armed(&e->pairs.timer))
		arm(e);
}
