/*
 * Runs one operator without a session: a graph of one node, read, inferred with unknown shapes as at load, and
 * computed.
 *
 *     driver d;
 *     driver_init(&d);
 *     value x = driver_floats(&d, 2, (int64_t[]){2, 3}, (float[]){1, 2, 3, 4, 5, 6});
 *     driver_call call = {.op_type = "Relu", .opset = 14, .inputs = {&x}, .input_count = 1, .output_count = 1};
 *     assert_int_equal(driver_run(&d, &call), NORMA_OK);
 *     ... d.outputs[0] ...
 *     driver_finish(&d);
 *
 * What the tests rely on beyond the result: inputs are compared with their copies afterwards (an operator never writes
 * to its inputs), the first inference knows ranks or nothing at all and must agree with the second, outputs are
 * surrounded by bytes that must survive, and all memory must be back in driver_finish.
 */
#ifndef TESTS_SUPPORT_OPERATOR_DRIVER_H
#define TESTS_SUPPORT_OPERATOR_DRIVER_H

#include "engine/execute/executor.h"
#include "ops/operator.h"

#define DRIVER_MAX 24 /* inputs, outputs and attributes */

/* Looks at the node of a run that has succeeded; types and shapes of all its values are known. */
typedef void driver_inspect(const node *node, void *argument);

typedef struct driver_call {
  const char *domain; /* NULL: ai.onnx */
  const char *op_type;
  int64_t opset;
  /* Attributes of graph.h, ended by one without a name: DRIVER_INT and its siblings below. */
  attribute attributes[DRIVER_MAX];
  /* NULL: absent. The same pointer for several inputs makes them the same value of the graph. */
  const value *inputs[DRIVER_MAX];
  int input_count;
  uint32_t constants; /* bit i: input i never changes, as an initializer */
  int output_count;
  uint32_t absent_outputs;        /* bit i: output i has no name in the model */
  uint32_t unwanted_outputs;      /* bit i: output i has a name, but nobody reads it */
  struct activation activation;   /* fused behind the operator */
  int bias_input, residual_input; /* inputs that are added before the activation; 0: none */
  bool in_place;                  /* output 0 is written over input `in_place_input`, which the operator must allow */
  int in_place_input;             /* 0 unless said otherwise */
  const struct kernel_table *kernels; /* NULL: kernel_table_default() */
  int workers;                        /* 0: 1 */
  bool cancelled;                     /* from the beginning */
  driver_inspect *inspect;            /* NULL: none */
  void *inspect_argument;
} driver_call;

#define DRIVER_INT(text, number)                                                                                       \
  { .name = text, .kind = ATTRIBUTE_INT, .i = number }
#define DRIVER_FLOAT(text, number)                                                                                     \
  { .name = text, .kind = ATTRIBUTE_FLOAT, .f = number }
#define DRIVER_STRING(text, string)                                                                                    \
  {                                                                                                                    \
    .name = text, .kind = ATTRIBUTE_STRING, .s = { string, sizeof(string) - 1 }                                        \
  }
#define DRIVER_INTS(text, number, array)                                                                               \
  { .name = text, .kind = ATTRIBUTE_INTS, .count = number, .ints = array }
#define DRIVER_FLOATS(text, number, array)                                                                             \
  { .name = text, .kind = ATTRIBUTE_FLOATS, .count = number, .floats = array }
#define DRIVER_STRINGS(text, number, array)                                                                            \
  { .name = text, .kind = ATTRIBUTE_STRINGS, .count = number, .strings = array }
/* The tensor stays the caller's. */
#define DRIVER_TENSOR(text, pointer)                                                                                   \
  { .name = text, .kind = ATTRIBUTE_TENSOR, .tensor = pointer }

typedef struct driver {
  memory memory;
  region region;                   /* of the last run */
  value outputs[DRIVER_MAX];       /* of the last run that succeeded; NONE where absent or unwanted */
  value_info inferred[DRIVER_MAX]; /* what was inferred at load, from ranks alone */
  norma_error error;               /* of the last run that failed */
  char warning[256];               /* the last line that the last run logged; empty: none */
  bool wrote;                      /* whether that run wrote to an output of known shape before it failed */
  thread_pool *pool;               /* of `pool_workers`, kept for the next run */
  int pool_workers;
} driver;

void driver_init(driver *driver);
void driver_finish(driver *driver); /* clears the outputs; fails the test where memory is missing */

/* Statuses as of a model: an unknown operator, version, attribute, type is UNSUPPORTED or INVALID_MODEL. On failure the
 * outputs are NONE. */
norma_status driver_run(driver *driver, const driver_call *call);

/* Every kernel table that this machine can run, one after the other; NULL past the end. */
const struct kernel_table *driver_kernels(int index);

/* ----------------------------------------------------------------------------------------------------------- values */

/* Tensors that own their memory, to be cleared by the caller before driver_finish. `elements` NULL: all zero. */
value driver_tensor(driver *driver, norma_element_type type, int rank, const int64_t *dims, const double *elements);
value driver_floats(driver *driver, int rank, const int64_t *dims, const float *elements);
value driver_ints(driver *driver, int rank, const int64_t *dims, const int64_t *elements);
value driver_bools(driver *driver, int rank, const int64_t *dims, const bool *elements);
value driver_strings(driver *driver, int rank, const int64_t *dims, const char *const *elements);

/* A sequence or optional of `count` values, which are copied. */
value driver_list(driver *driver, norma_value_kind kind, int count, const value *const *elements);

double driver_element(const value *tensor, int64_t index);

/* Fails the test, saying what differs, unless the tensor has this type, shape and these elements, bit for bit. */
void driver_assert_tensor(const value *value, norma_element_type type, int rank, const int64_t *dims,
                          const double *elements);

/* Pseudo-random numbers that are the same everywhere: uniform in low .. high. *state is any number but 0. */
double driver_random(uint64_t *state, double low, double high);

#endif
