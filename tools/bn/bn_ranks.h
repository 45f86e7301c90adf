/* Several processes started by mpirun. Without MPI in the build, and without mpirun, there is one. The library of MPI
 * is loaded only where mpirun is at work. */
#ifndef TOOLS_BN_BN_RANKS_H
#define TOOLS_BN_BN_RANKS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ranks {
  int rank, size;
  void *mpi; /* the library's functions; NULL: one process */
} ranks;

/* false: the error was printed. */
bool ranks_start(ranks *ranks);

/* Joins groups of moments of all ranks, in the order of ranks, by one Allreduce: `count` triples of count, mean and sum
 * of squared deviations. */
bool ranks_join_moments(const ranks *ranks, double *triples, size_t count);

/* Sums a number over all ranks. */
bool ranks_sum(const ranks *ranks, double *number);

/* Waits for all; with a code other than 0 the other ranks are ended too. Returns the code. */
int ranks_finish(ranks *ranks, int code);

/* "Open MPI 4.1" or "built without MPI". A string literal. */
const char *ranks_version(void);

#endif
