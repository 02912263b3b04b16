/* Linked with a program of tests: each input is handled by an engine of its own, restored from the
 * records of the one before (sim_state.c). */
#include "tests/sim/sim_parts.h"

extern const bool sim_restored_program;
const bool sim_restored_program = true;
