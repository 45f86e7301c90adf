#include "tests/support/workbench.h"

#include "tests/support/builtin_operator.h"
#include "tests/support/random_tensor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MANY_WORKERS 3

norma_element_type next_type(norma_element_type type, type_mask mask) {
  for (int i = (int)type + 1; i < NORMA_ELEMENT_TYPE_COUNT; i++) {
    if (mask & TYPE_BIT(i)) return (norma_element_type)i;
  }
  return NORMA_UNDEFINED;
}

/* ------------------------------------------------------------------------------------------------------------ bench */

struct bench_value {
  value value;
  bench_value *next;
};

void bench_init(workbench *bench) {
  memset(bench, 0, sizeof *bench);
  driver_init(&bench->driver);
  driver_init(&bench->again);
  bench->seed = 20240229;
}

void bench_clear(workbench *bench) {
  while (bench->values) {
    bench_value *gone = bench->values;
    bench->values = gone->next;
    value_clear(&gone->value);
    free(gone);
  }
}

void bench_finish(workbench *bench) {
  bench_clear(bench);
  driver_finish(&bench->again);
  driver_finish(&bench->driver);
}

static value *bench_add(workbench *bench, value made) {
  bench_value *added = malloc(sizeof *added);
  assert_non_null(added);
  *added = (bench_value){made, bench->values};
  bench->values = added;
  return &added->value;
}

value *bench_make(workbench *bench, norma_element_type type, shape shape) {
  return bench_add(bench, type == NORMA_STRING ? driver_strings(&bench->driver, shape.rank, shape.dims, NULL)
                                               : driver_tensor(&bench->driver, type, shape.rank, shape.dims, NULL));
}

const value *bench_tensor(workbench *bench, norma_element_type type, shape shape, const double *elements) {
  return bench_add(bench, driver_tensor(&bench->driver, type, shape.rank, shape.dims, elements));
}

const value *bench_ints(workbench *bench, shape shape, const int64_t *elements) {
  return bench_add(bench, driver_ints(&bench->driver, shape.rank, shape.dims, elements));
}

const value *bench_strings(workbench *bench, shape shape, const char *const *elements) {
  return bench_add(bench, driver_strings(&bench->driver, shape.rank, shape.dims, elements));
}

static bool is_whole_type(norma_element_type type) {
  const type_mask small = TYPE_BIT(NORMA_UINT4) | TYPE_BIT(NORMA_INT4) | TYPE_BIT(NORMA_UINT2) | TYPE_BIT(NORMA_INT2);
  return (TYPE_BIT(type) & (TYPES_INTEGER | TYPE_BIT(NORMA_BOOL) | small)) != 0;
}

const value *bench_random(workbench *bench, norma_element_type type, shape shape, double low, double high) {
  value *made = bench_make(bench, type, shape);
  for (int64_t i = 0; i < norma_tensor_count(&made->tensor); i++) {
    const double number = driver_random(&bench->seed, low, high);
    element_set_double(type, made->tensor.data, i, is_whole_type(type) ? floor(number) : number);
  }
  return made;
}

static const value *numbered_strings(workbench *bench, const shape *shape) {
  const int64_t count = shape_count(shape);
  const char **strings = malloc(sizeof(char *) * (size_t)(count + 1));
  char(*texts)[16] = malloc(sizeof *texts * (size_t)(count + 1));
  assert_true(strings && texts);
  for (int64_t i = 0; i < count; i++) {
    texts[i][0] = '\0'; /* some are empty */
    if (i % 7) snprintf(texts[i], sizeof *texts, "s%d", (int)i);
    strings[i] = texts[i];
  }
  const value *made = bench_strings(bench, *shape, strings);
  free(strings);
  free(texts);
  return made;
}

const value *bench_numbered(workbench *bench, norma_element_type type, shape shape) {
  if (type == NORMA_STRING) return numbered_strings(bench, &shape);
  value *made = bench_make(bench, type, shape);
  const int bits = element_type_bits(type);
  const int64_t modulus = bits < 3 ? 2 : bits < 8 || type == NORMA_BOOL ? 7 : bits == 8 ? 113 : 2039;
  for (int64_t i = 0; i < norma_tensor_count(&made->tensor); i++) {
    const double number = (double)(i * 5 % modulus);
    if (type == NORMA_FLOAT8E8M0 || type == NORMA_BOOL) { /* powers of two; two values */
      ((uint8_t *)made->tensor.data)[i] = type == NORMA_BOOL ? i * 5 % 7 < 3 : (uint8_t)number;
    } else {
      element_set_double(type, made->tensor.data, i, number);
    }
    if (type == NORMA_COMPLEX64) ((float *)made->tensor.data)[2 * i + 1] = (float)i;
    if (type == NORMA_COMPLEX128) ((double *)made->tensor.data)[2 * i + 1] = (double)i;
  }
  return made;
}

const value *bench_container(workbench *bench, norma_value_kind kind, int count, const value *const *elements) {
  return bench_add(bench, driver_list(&bench->driver, kind, count, elements));
}

const value *bench_keep(workbench *bench, int index) {
  value copy = {0};
  assert_int_equal(value_copy(&bench->driver.memory, &copy, &bench->driver.outputs[index], NULL), NORMA_OK);
  return bench_add(bench, copy);
}

/* ------------------------------------------------------------------------------------------------------------- runs */

static norma_status run_once(workbench *bench, driver *driver, const driver_call *call) {
  driver_call copy = *call;
  if (!copy.kernels) copy.kernels = bench->kernels;
  return driver_run(driver, &copy);
}

const value *bench_run_once(workbench *bench, const driver_call *call) {
  norma_status status = run_once(bench, &bench->driver, call);
  if (status != NORMA_OK) fail_msg("%s: %s", norma_status_text(status), bench->driver.error.message);
  int first = 0;
  while (first + 1 < call->output_count && bench->driver.outputs[first].kind == NORMA_VALUE_NONE) first++;
  return &bench->driver.outputs[first];
}

static void check_same_run(workbench *bench, const driver_call *call, const char *way) {
  if (run_once(bench, &bench->again, call) != NORMA_OK) fail_msg("%s: %s", way, bench->again.error.message);
  for (int i = 0; i < call->output_count; i++) {
    if (!same_value(&bench->driver.outputs[i], &bench->again.outputs[i])) {
      fail_msg("%s of opset %d: output %d is another %s", call->op_type, (int)call->opset, i, way);
    }
  }
}

static bool may_overwrite(const workbench *bench, const driver_call *call, int input) {
  const operator_descriptor *op = builtin_operator(call->domain ? call->domain : "", call->op_type);
  const value *x = call->inputs[input], *y = &bench->driver.outputs[0];
  if (!(op->in_place & INPUT(input)) || !x || x->kind != NORMA_VALUE_TENSOR || y->kind != NORMA_VALUE_TENSOR)
    return false;
  for (int i = 0; i < call->input_count; i++) {
    if (i != input && call->inputs[i] == x) return false;
  }
  return x->tensor.type != NORMA_STRING && y->tensor.type != NORMA_STRING &&
         x->tensor.size_bytes == y->tensor.size_bytes;
}

const value *bench_run(workbench *bench, const driver_call *call) {
  const value *y = bench_run_once(bench, call);
  driver_call other = *call;
  other.workers = call->workers > 1 ? 1 : MANY_WORKERS;
  check_same_run(bench, &other, "on several workers");
  if (call->input_count > 0 && !call->constants) {
    other = *call;
    other.constants = (UINT32_C(1) << call->input_count) - 1;
    check_same_run(bench, &other, "of constants");
    other.constants = (UINT32_C(1) << call->input_count) - 2;
    check_same_run(bench, &other, "of constants but the first");
  }
  for (int i = 0; i < call->input_count && !call->in_place; i++) {
    if (!may_overwrite(bench, call, i)) continue;
    other = *call;
    other.in_place = true;
    other.in_place_input = i;
    other.workers = MANY_WORKERS;
    check_same_run(bench, &other, "in place");
  }
  return y;
}

static void refuse(workbench *bench, const driver_call *call, norma_status expected, const char *words) {
  norma_status status = run_once(bench, &bench->driver, call);
  const char *message = bench->driver.error.message;
  if (status == NORMA_OK) fail_msg("%s is not refused, but should: %s", call->op_type, words);
  if (status != expected || !strstr(message, words) || !strstr(message, call->op_type)) {
    fail_msg("expected %s \"%s\", got %s \"%s\"", norma_status_text(expected), words, norma_status_text(status),
             message);
  }
}

void bench_refuse(workbench *bench, const driver_call *call, norma_status status, const char *words) {
  refuse(bench, call, status, words);
  if (bench->driver.wrote) fail_msg("%s wrote before it failed: %s", call->op_type, words);
}

void bench_refuse_late(workbench *bench, const driver_call *call, norma_status status, const char *words) {
  refuse(bench, call, status, words);
}

/* ----------------------------------------------------------------------------------------------------------- checks */

bool same_element(const value *a, int64_t i, const value *b, int64_t j) {
  const norma_element_type type = a->tensor.type;
  if (type != b->tensor.type) return false;
  if (type == NORMA_STRING) {
    const norma_string *x = (const norma_string *)a->tensor.data + i, *z = (const norma_string *)b->tensor.data + j;
    return x->size == z->size && (x->size == 0 || memcmp(x->data, z->data, x->size) == 0);
  }
  const size_t bytes = element_type_bytes(type);
  if (bytes > 0) {
    return memcmp((const char *)a->tensor.data + (size_t)i * bytes, (const char *)b->tensor.data + (size_t)j * bytes,
                  bytes) == 0;
  }
  const double x = driver_element(a, i), z = driver_element(b, j);
  return memcmp(&x, &z, sizeof x) == 0;
}

bool same_value(const value *a, const value *b) {
  if (a->kind != b->kind) return false;
  if (a->kind == NORMA_VALUE_NONE) return true;
  if (a->kind != NORMA_VALUE_TENSOR) {
    if (norma_value_count(a) != norma_value_count(b)) return false;
    for (size_t i = 0; i < norma_value_count(a); i++) {
      if (!same_value(norma_value_element(a, i), norma_value_element(b, i))) return false;
    }
    return true;
  }
  if (a->tensor.type != NORMA_STRING) return same_tensor(&a->tensor, &b->tensor);
  const shape own = shape_of_tensor(&a->tensor), other = shape_of_tensor(&b->tensor);
  if (b->tensor.type != NORMA_STRING || !shape_equal(&own, &other)) return false;
  for (int64_t i = 0; i < norma_tensor_count(&a->tensor); i++) {
    if (!same_element(a, i, b, i)) return false;
  }
  return true;
}

static void check_shape(const value *y, norma_element_type type, const shape *shape) {
  driver_assert_tensor(y, type, shape->rank, shape->dims, NULL);
}

void check_tensor(const value *y, norma_element_type type, shape shape, const double *expected) {
  driver_assert_tensor(y, type, shape.rank, shape.dims, expected);
}

void check_ints(const value *y, shape shape, const int64_t *expected) {
  check_shape(y, NORMA_INT64, &shape);
  const int64_t *found = y->tensor.data;
  for (int64_t i = 0; i < norma_tensor_count(&y->tensor); i++) {
    if (found[i] != expected[i]) {
      fail_msg("element %d: expected %" PRId64 ", got %" PRId64, (int)i, expected[i], found[i]);
    }
  }
}

void check_strings(const value *y, shape shape, const char *const *expected) {
  check_shape(y, NORMA_STRING, &shape);
  const norma_string *found = y->tensor.data;
  for (int64_t i = 0; i < norma_tensor_count(&y->tensor); i++) {
    const size_t size = strlen(expected[i]);
    if (found[i].size != size || (size && memcmp(found[i].data, expected[i], size) != 0)) {
      fail_msg("element %d: expected \"%s\", got \"%.*s\"", (int)i, expected[i], (int)found[i].size,
               found[i].data ? found[i].data : "");
    }
  }
}

void check_near(const char *what, const value *y, norma_element_type type, shape shape, const double *expected,
                double relative) {
  check_shape(y, type, &shape);
  for (int64_t i = 0; i < norma_tensor_count(&y->tensor); i++) {
    const double wanted = expected[i], got = driver_element(y, i);
    if (wanted == got || (isnan(wanted) && isnan(got))) continue;
    if (!(fabs(got - wanted) <= relative * (fabs(wanted) + 1))) {
      fail_msg("%s of %s, element %d: expected %.17g, got %.17g", what, norma_element_type_name(type), (int)i, wanted,
               got);
    }
  }
}

void check_moved(const value *y, shape shape, const value *x, const int64_t *sources, const value *filler) {
  check_shape(y, x->tensor.type, &shape);
  for (int64_t i = 0; i < norma_tensor_count(&y->tensor); i++) {
    const bool same = sources[i] < 0 ? same_element(y, i, filler, 0) : same_element(y, i, x, sources[i]);
    if (!same) {
      fail_msg("%s: element %d is not element %d", norma_element_type_name(x->tensor.type), (int)i, (int)sources[i]);
    }
  }
}

double type_tolerance(norma_element_type type) {
  return type == NORMA_DOUBLE ? 1e-12 : type == NORMA_FLOAT ? 4e-6 : 2 * rounding_error(type);
}

/* ----------------------------------------------------------------------------------------------------------- shapes */

shape random_shape(uint64_t *seed, int least, int most, int64_t elements) {
  shape result;
  do {
    result = shape_of_rank((int)random_int(seed, least, most));
    for (int i = 0; i < result.rank; i++) result.dims[i] = random_of(seed, 1, 1, 2, 3, 4, 5, 7, 9, 17, 40, 300);
    if (result.rank > 0 && random_int(seed, 0, 19) == 0) result.dims[random_int(seed, 0, result.rank - 1)] = 0;
  } while (shape_count(&result) > elements);
  return result;
}

void shape_coordinates(const shape *shape, int64_t index, int64_t *at) {
  for (int i = shape->rank - 1; i >= 0; i--) {
    at[i] = index % shape->dims[i];
    index /= shape->dims[i];
  }
}

int64_t shape_place(const shape *shape, const int64_t *at) {
  int64_t index = 0;
  for (int i = 0; i < shape->rank; i++) index = index * shape->dims[i] + at[i];
  return index;
}

int64_t broadcast_place(const shape *own, const shape *result, int64_t index) {
  int64_t at[NORMA_MAX_RANK], place = 0;
  shape_coordinates(result, index, at);
  for (int i = 0; i < own->rank; i++) {
    const int64_t coordinate = at[result->rank - own->rank + i];
    place = place * own->dims[i] + (own->dims[i] == 1 ? 0 : coordinate);
  }
  return place;
}

void random_broadcast(uint64_t *seed, int64_t elements, shape *a, shape *b, shape *result) {
  shape *const shapes[2] = {a, b};
  *result = random_shape(seed, 0, 5, elements);
  for (int k = 0; k < 2; k++) {
    const int skipped = random_int(seed, 0, 1) ? 0 : (int)random_int(seed, 0, result->rank);
    *shapes[k] = shape_make(result->rank - skipped, result->dims + skipped);
    for (int i = 0; i < shapes[k]->rank; i++) {
      if (random_int(seed, 0, 2) == 0) shapes[k]->dims[i] = 1;
    }
  }
  assert_true(shape_broadcast(a, b, result));
}
