/* Runs a piece of work again and again, each time with another allocation that fails. */
#ifndef TESTS_SUPPORT_FAILING_ALLOCATIONS_H
#define TESTS_SUPPORT_FAILING_ALLOCATIONS_H

#include "engine/norma.h"

/* Does the work with this allocator, gives everything back, and returns its status; `error` is cleared before. */
typedef norma_status (*allocating_work)(void *context, const norma_allocator *allocator, norma_error *error);

/*
 * Calls work while its first allocation fails, then its second and so on: once that one alone, once all from there on.
 * The last call, in which none fails, must succeed. Fails the test where memory is lost, and where the status of a
 * failing call is neither OUT_OF_MEMORY, with an error that says so, nor OK. Returns how many calls succeeded although
 * an allocation failed: 0 where the work needs all of its memory.
 */
int fail_each_allocation(allocating_work work, void *context);

#endif
