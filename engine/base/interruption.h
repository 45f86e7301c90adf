/*
 * Why work ends before it is done: another thread wants it to, or its time is over. Whoever works for long asks again
 * and again, and returns the status that it is told.
 *
 * One interruption belongs to one piece of work, such as a load or a run; any number of threads ask. Pointers to it may
 * be NULL everywhere: such work is never interrupted.
 */
#ifndef ENGINE_BASE_INTERRUPTION_H
#define ENGINE_BASE_INTERRUPTION_H

#include "engine/norma.h"

#include <stdatomic.h>

typedef struct interruption {
  const char *work;                    /* "run", for messages; a string literal */
  atomic_bool cancelled;               /* set from any thread; one yes of is_cancelled sets it too and is enough */
  bool (*is_cancelled)(void *context); /* asked as well, from any thread that works; NULL: nobody is */
  void *context;
  uint64_t deadline_ns; /* of clock_now_ns; 0: none */
} interruption;

/* Begins a piece of work with `timeout` seconds from now; 0, a negative number, NaN and more than 30 years: no limit.
 * What `cancelled` holds stays. */
void interruption_begin(interruption *interruption, const char *work, double timeout,
                        bool (*is_cancelled)(void *context), void *context);

/* Whether it is a limit that interruption_begin keeps. */
bool interruption_is_limit(double timeout);

/* CANCELLED or DEADLINE when the work has to end, else OK. From then on it never says OK again. */
norma_status interruption_reason(interruption *interruption);
norma_status interruption_poll(interruption *interruption, norma_error *error);

/* For loops over small things: asks each 256th time that it is called with this counter. */
static inline norma_status interruption_poll_often(interruption *interruption, unsigned *counter, norma_error *error) {
  return interruption && (++*counter & 0xFF) == 0 ? interruption_poll(interruption, error) : NORMA_OK;
}

#endif
