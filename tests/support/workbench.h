/*
 * A driver together with the tensors of a test, which live until the test ends:
 *
 *     workbench bench;
 *     bench_init(&bench);
 *     const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 2), NUMBERS(1, -2, 3, -4));
 *     driver_call call = CALL("Relu", 14, x);
 *     check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(2, 2), NUMBERS(1, 0, 3, 0));
 *     bench_finish(&bench);
 *
 * bench_run also runs the call in the ways that must not change a bit of any output: on several workers, with other
 * inputs constant, and written over each input that the operator allows to be written over.
 */
#ifndef TESTS_SUPPORT_WORKBENCH_H
#define TESTS_SUPPORT_WORKBENCH_H

#include "tests/support/operator_driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A shape by its dimensions, and that of a single number. */
#define SHAPE(...) shape_make((int)COUNT(((const int64_t[]){__VA_ARGS__})), (const int64_t[]){__VA_ARGS__})
#define SCALAR     shape_make(0, NULL)
#define NUMBERS(...)                                                                                                   \
  (const double[]) {                                                                                                   \
    __VA_ARGS__                                                                                                        \
  }
/* The initializer of a driver_call with these inputs and one output; more members may follow. */
#define CALL(name, version, ...) ((driver_call){CALL_OF(name, version, __VA_ARGS__)})
#define CALL_OF(name, version, ...)                                                                                    \
  .op_type = (name), .opset = (version), .inputs = {__VA_ARGS__},                                                      \
  .input_count = (int)COUNT(((const value *[]){__VA_ARGS__})), .output_count = 1
/* An attribute from text that is no literal. */
#define DRIVER_TEXT(text, string)                                                                                      \
  {                                                                                                                    \
    .name = text, .kind = ATTRIBUTE_STRING, .s = { string, strlen(string) }                                            \
  }

/* for (type = each element type of `mask`) */
#define FOR_TYPES(type, mask)                                                                                          \
  for (norma_element_type type = next_type(NORMA_UNDEFINED, mask); type; type = next_type(type, mask))
norma_element_type next_type(norma_element_type type, type_mask mask); /* UNDEFINED behind the last */

/* ------------------------------------------------------------------------------------------------------------ bench */

typedef struct bench_value bench_value;

typedef struct workbench {
  driver driver;
  struct driver again; /* for runs that must give the same */
  uint64_t seed;
  const struct kernel_table *kernels; /* of all runs; NULL: the default */
  bench_value *values;                /* the last one made first */
} workbench;

void bench_init(workbench *bench);
void bench_clear(workbench *bench);  /* frees the tensors */
void bench_finish(workbench *bench); /* and fails the test where memory is missing */

/* Tensors of the bench. `elements` NULL: all zero. */
const value *bench_tensor(workbench *bench, norma_element_type type, shape shape, const double *elements);
/* A list of int64, or a single one. */
#define bench_list(bench, ...) bench_ints(bench, SHAPE_OF_LIST(__VA_ARGS__), (const int64_t[]){__VA_ARGS__})
#define SHAPE_OF_LIST(...)     SHAPE((int64_t)COUNT(((const int64_t[]){__VA_ARGS__})))
#define bench_int(bench, i)    bench_ints(bench, SCALAR, (const int64_t[]){i})
const value *bench_ints(workbench *bench, shape shape, const int64_t *elements);
const value *bench_strings(workbench *bench, shape shape, const char *const *elements);
/* Whole numbers for types of integers, bool included; low .. high, without high itself. */
const value *bench_random(workbench *bench, norma_element_type type, shape shape, double low, double high);
/* Elements that tell their place, as far as the type can hold it; strings too. */
const value *bench_numbered(workbench *bench, norma_element_type type, shape shape);
/* A sequence or optional. */
const value *bench_container(workbench *bench, norma_value_kind kind, int count, const value *const *elements);
/* Output `index` of the last run, kept. */
const value *bench_keep(workbench *bench, int index);
/* A tensor that is the caller's to fill. */
value *bench_make(workbench *bench, norma_element_type type, shape shape);

/* Runs, which must succeed: output 0, or whichever comes first, until the next run. */
const value *bench_run(workbench *bench, const driver_call *call);
/* Runs in this way only. */
const value *bench_run_once(workbench *bench, const driver_call *call);
/* Runs, which must fail with this status and these words in the message, which names the operator; what fails in
 * compute must have left the outputs alone. */
void bench_refuse(workbench *bench, const driver_call *call, norma_status status, const char *words);
/* The same where outputs may have been written before the mistake was found. */
void bench_refuse_late(workbench *bench, const driver_call *call, norma_status status, const char *words);

/* ----------------------------------------------------------------------------------------------------------- checks */

/* Type, shape and elements, bit for bit. */
void check_tensor(const value *y, norma_element_type type, shape shape, const double *expected);
void check_ints(const value *y, shape shape, const int64_t *expected); /* int64 */
void check_strings(const value *y, shape shape, const char *const *expected);
/* Elements within relative * (|expected| + 1); NaN and infinities as they are. `what` names the case. */
void check_near(const char *what, const value *y, norma_element_type type, shape shape, const double *expected,
                double relative);
/* Element i is element sources[i] of x, or the only one of `filler` where that is -1. */
void check_moved(const value *y, shape shape, const value *x, const int64_t *sources, const value *filler);
/* Whether all bits are the same, those of strings and of the elements of containers too. */
bool same_value(const value *a, const value *b);
/* Whether two elements are. */
bool same_element(const value *a, int64_t i, const value *b, int64_t j);

/* What a result computed in the type, or in float where it has fewer bits, may be off relatively. */
double type_tolerance(norma_element_type type);

/* ----------------------------------------------------------------------------------------------------------- shapes */

/* Rank least .. most, of at most `elements` elements; one in twenty has no elements. */
shape random_shape(uint64_t *seed, int least, int most, int64_t elements);
/* Row-major index to coordinates and back. */
void shape_coordinates(const shape *shape, int64_t index, int64_t *at);
int64_t shape_place(const shape *shape, const int64_t *at);
/* The element that a tensor of shape `own` has where `result`, to which it is broadcast, has `index`. */
int64_t broadcast_place(const shape *own, const shape *result, int64_t index);
/* Two shapes that can be broadcast to `result`. */
void random_broadcast(uint64_t *seed, int64_t elements, shape *a, shape *b, shape *result);

#endif
