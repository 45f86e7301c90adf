#include "tools/bn/bn_ranks.h"

#include "engine/norma.h"
#include "tools/report.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>

/* How many processes a launcher says there are; 1 without one. */
static int launched_size(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    const char *text = getenv(names[i]);
    int size = text ? atoi(text) : 0;
    if (size > 0) return size;
  }
  return 1;
}

#ifdef NORMA_HAVE_MPI

#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

/* Looked up by name, so that the tool starts without the library. The objects behind MPI_COMM_WORLD and its kin are
 * variables of Open MPI. */
typedef struct mpi_library {
  void *handle;
  int (*init)(int *, char ***);
  int (*rank)(MPI_Comm, int *);
  int (*size)(MPI_Comm, int *);
  int (*allreduce)(const void *, void *, int, MPI_Datatype, MPI_Op, MPI_Comm);
  int (*op_create)(MPI_User_function *, int, MPI_Op *);
  int (*op_free)(MPI_Op *);
  int (*type_contiguous)(int, MPI_Datatype, MPI_Datatype *);
  int (*type_commit)(MPI_Datatype *);
  int (*type_free)(MPI_Datatype *);
  int (*barrier)(MPI_Comm);
  int (*abort)(MPI_Comm, int);
  int (*finalize)(void);
  MPI_Comm world;
  MPI_Datatype number;
  MPI_Op sum;
} mpi_library;

static bool find_symbol(mpi_library *mpi, const char *name, void *slot) {
  void *symbol = dlsym(mpi->handle, name);
  *(void **)slot = symbol;
  if (!symbol) tool_error("the library of MPI lacks %s", name);
  return symbol != NULL;
}

static bool load_library(mpi_library *mpi) {
  mpi->handle = dlopen("libmpi.so.40", RTLD_NOW | RTLD_GLOBAL); /* its own plug-ins look for its symbols */
  if (!mpi->handle) {
    tool_error("MPI cannot be loaded: %s", dlerror());
    return false;
  }
  return find_symbol(mpi, "MPI_Init", &mpi->init) && find_symbol(mpi, "MPI_Comm_rank", &mpi->rank) &&
         find_symbol(mpi, "MPI_Comm_size", &mpi->size) && find_symbol(mpi, "MPI_Allreduce", &mpi->allreduce) &&
         find_symbol(mpi, "MPI_Op_create", &mpi->op_create) && find_symbol(mpi, "MPI_Op_free", &mpi->op_free) &&
         find_symbol(mpi, "MPI_Type_contiguous", &mpi->type_contiguous) &&
         find_symbol(mpi, "MPI_Type_commit", &mpi->type_commit) && find_symbol(mpi, "MPI_Type_free", &mpi->type_free) &&
         find_symbol(mpi, "MPI_Barrier", &mpi->barrier) && find_symbol(mpi, "MPI_Abort", &mpi->abort) &&
         find_symbol(mpi, "MPI_Finalize", &mpi->finalize) && find_symbol(mpi, "ompi_mpi_comm_world", &mpi->world) &&
         find_symbol(mpi, "ompi_mpi_double", &mpi->number) && find_symbol(mpi, "ompi_mpi_op_sum", &mpi->sum);
}

bool ranks_start(ranks *ranks) {
  static mpi_library mpi; /* MPI can be started once in a process */
  *ranks = (struct ranks){.size = 1};
  if (launched_size() < 2) return true;
  if (!load_library(&mpi)) return false;
  if (mpi.init(NULL, NULL) != MPI_SUCCESS || mpi.rank(mpi.world, &ranks->rank) != MPI_SUCCESS ||
      mpi.size(mpi.world, &ranks->size) != MPI_SUCCESS) {
    tool_error("MPI cannot be started");
    return false;
  }
  ranks->mpi = &mpi;
  return true;
}

/* inout = in joined with inout; `in` is of the lower ranks. */
static void join_triples(void *in, void *inout, int *count, MPI_Datatype *type) {
  const double *first = in;
  double *second = inout;
  (void)type;
  for (int i = 0; i < *count; i++, first += 3, second += 3) {
    double joined[3] = {first[0], first[1], first[2]};
    norma_moments_join(&joined[0], &joined[1], &joined[2], second[0], second[1], second[2]);
    for (int k = 0; k < 3; k++) second[k] = joined[k];
  }
}

bool ranks_join_moments(const ranks *ranks, double *triples, size_t count) {
  const mpi_library *mpi = ranks->mpi;
  MPI_Datatype triple;
  MPI_Op join;
  if (!mpi) return true;
  if (count > INT_MAX) {
    tool_error("more channels than MPI can send at once");
    return false;
  }
  double *sent = malloc(count * 3 * sizeof *sent);
  if (!sent) {
    tool_error("out of memory");
    return false;
  }
  for (size_t i = 0; i < 3 * count; i++) sent[i] = triples[i];
  mpi->type_contiguous(3, mpi->number, &triple);
  mpi->type_commit(&triple);
  mpi->op_create(join_triples, 0, &join); /* not commutative: the order of ranks decides */
  bool good = mpi->allreduce(sent, triples, (int)count, triple, join, mpi->world) == MPI_SUCCESS;
  mpi->op_free(&join);
  mpi->type_free(&triple);
  free(sent);
  if (!good) tool_error("MPI_Allreduce failed");
  return good;
}

bool ranks_sum(const ranks *ranks, double *number) {
  const mpi_library *mpi = ranks->mpi;
  double own = *number;
  return !mpi || mpi->allreduce(&own, number, 1, mpi->number, mpi->sum, mpi->world) == MPI_SUCCESS;
}

int ranks_finish(ranks *ranks, int code) {
  const mpi_library *mpi = ranks->mpi;
  if (!mpi) return code;
  if (code != 0) {
    fflush(stdout);
    mpi->abort(mpi->world, code); /* others may wait for this rank for ever */
  }
  mpi->barrier(mpi->world);
  mpi->finalize();
  ranks->mpi = NULL;
  return code;
}

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

const char *ranks_version(void) {
  return "Open MPI " TEXT(OMPI_MAJOR_VERSION) "." TEXT(OMPI_MINOR_VERSION);
}

#else

bool ranks_start(ranks *ranks) {
  *ranks = (struct ranks){.size = 1};
  int size = launched_size();
  if (size < 2) return true;
  tool_error("%d processes were started, but this program was built without MPI", size);
  return false;
}

bool ranks_join_moments(const ranks *ranks, double *triples, size_t count) {
  (void)ranks;
  (void)triples;
  (void)count;
  return true;
}

bool ranks_sum(const ranks *ranks, double *number) {
  (void)ranks;
  (void)number;
  return true;
}

int ranks_finish(ranks *ranks, int code) {
  (void)ranks;
  return code;
}

const char *ranks_version(void) {
  return "built without MPI";
}

#endif
