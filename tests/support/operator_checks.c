#include "tests/support/operator_checks.h"

#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static bool same_value(const value *a, const value *b) {
  if (a->kind != b->kind) return false;
  if (a->kind == NORMA_VALUE_NONE) return true;
  if (a->kind != NORMA_VALUE_TENSOR) {
    if (a->list->count != b->list->count) return false;
    for (int64_t i = 0; i < a->list->count; i++) {
      if (!same_value(&a->list->items[i], &b->list->items[i])) return false;
    }
    return true;
  }
  if (a->tensor.type != NORMA_STRING) return same_tensor(&a->tensor, &b->tensor);
  const shape a_shape = shape_of_tensor(&a->tensor), b_shape = shape_of_tensor(&b->tensor);
  if (b->tensor.type != NORMA_STRING || !shape_equal(&a_shape, &b_shape)) return false;
  const norma_string *texts = a->tensor.data, *others = b->tensor.data;
  for (int64_t i = 0; i < norma_tensor_count(&a->tensor); i++) {
    if (texts[i].size != others[i].size || (texts[i].size && memcmp(texts[i].data, others[i].data, texts[i].size) != 0))
      return false;
  }
  return true;
}

void check_all_workers(driver *driver, const driver_call *call) {
  static const int workers[] = {1, 2, 3, 7};
  value first[DRIVER_MAX];
  driver_call again = *call;
  for (int w = 0; w < 4; w++) {
    again.workers = workers[w];
    if (driver_run(driver, &again) != NORMA_OK) fail_msg("%s: %s", call->op_type, driver->error.message);
    for (int i = 0; i < call->output_count; i++) {
      if (w == 0)
        value_share(&first[i], &driver->outputs[i]);
      else if (!same_value(&first[i], &driver->outputs[i]))
        fail_msg("%s: output %d differs on %d workers", call->op_type, i, workers[w]);
    }
  }
  for (int i = 0; i < call->output_count; i++) value_clear(&first[i]);
}

void check_refused(driver *driver, const driver_call *call, norma_status status, const char *part) {
  const norma_status got = driver_run(driver, call);
  if (got != status) fail_msg("%s: expected status %d, got %d (%s)", call->op_type, status, got, driver->error.message);
  if (!strstr(driver->error.message, part))
    fail_msg("%s: '%s' does not say '%s'", call->op_type, driver->error.message, part);
}

static void check_shape(const value *value, norma_element_type type, int rank, const int64_t *dims) {
  assert_int_equal(value->kind, NORMA_VALUE_TENSOR);
  const shape got = shape_of_tensor(&value->tensor), wanted = shape_make(rank, dims);
  char got_text[200], wanted_text[200];
  if (value->tensor.type != type || !shape_equal(&got, &wanted))
    fail_msg("expected %s %s, got %s %s", norma_element_type_name(type),
             shape_text(&wanted, wanted_text, sizeof wanted_text), norma_element_type_name(value->tensor.type),
             shape_text(&got, got_text, sizeof got_text));
}

void check_strings(const value *value, int rank, const int64_t *dims, const char *const *texts) {
  check_shape(value, NORMA_STRING, rank, dims);
  const norma_string *strings = value->tensor.data;
  for (int64_t i = 0; i < norma_tensor_count(&value->tensor); i++) {
    const size_t size = strlen(texts[i]);
    if (strings[i].size != size || (size && memcmp(strings[i].data, texts[i], size) != 0))
      fail_msg("string %d: expected '%s', got '%.*s'", (int)i, texts[i], (int)strings[i].size,
               strings[i].size ? strings[i].data : "");
  }
}

void check_near(const value *value, norma_element_type type, int rank, const int64_t *dims, const double *elements,
                double tolerance) {
  check_shape(value, type, rank, dims);
  for (int64_t i = 0; i < norma_tensor_count(&value->tensor); i++) {
    const double got = driver_element(value, i), wanted = elements[i];
    if (!(got == wanted || fabs(got - wanted) <= tolerance * (1 + fabs(wanted)) || (isnan(got) && isnan(wanted))))
      fail_msg("element %d: expected %.9g, got %.9g", (int)i, wanted, got);
  }
}

value driver_map(driver *driver, const value *keys, const value *values) {
  const value *parts[] = {keys, values};
  return driver_list(driver, NORMA_VALUE_MAP, 2, parts);
}
