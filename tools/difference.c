#include "tools/difference.h"

#include "tools/value_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 256 };

tolerance tolerance_default(void) {
  return (tolerance){.rule = COMPARE_ELEMENTS, .rtol = 1e-3, .atol = 1e-7, .min = 0.99};
}

static bool is_complex(norma_element_type type) {
  return norma_element_type_class(type) == NORMA_CLASS_COMPLEX;
}

/* ------------------------------------------------------------------------------------------------------------ exact */

static bool strings_equal(const norma_tensor *a, const norma_tensor *b, int64_t index) {
  const norma_string *left = &((const norma_string *)a->data)[index], *right = &((const norma_string *)b->data)[index];
  return left->size == right->size && (left->size == 0 || memcmp(left->data, right->data, left->size) == 0);
}

static bool numbers_equal(const norma_tensor *a, const norma_tensor *b, int64_t index) {
  int64_t left = 0, right = 0;
  norma_tensor_get_integers(a, index, 1, &left);
  norma_tensor_get_integers(b, index, 1, &right);
  return left == right;
}

/* How far two elements are apart; 0 for strings. */
static double element_error(const norma_tensor *a, const norma_tensor *b, int64_t index) {
  double left = 0, right = 0;
  if (a->type == NORMA_STRING) return 0;
  norma_tensor_get_doubles(a, index, 1, &left);
  norma_tensor_get_doubles(b, index, 1, &right);
  return fabs(left - right);
}

static void describe_worst(const norma_tensor *expected, const norma_tensor *actual, int64_t worst, int64_t differing,
                           const char *allowed, difference *difference) {
  char place[128], wanted[200], got[200];
  index_text(expected, worst, place, sizeof place);
  snprintf(difference->text, sizeof difference->text,
           "%s%s%sexpected %s, got %s%s; %" PRId64 " of %" PRId64 " elements differ", place[0] ? "element " : "", place,
           place[0] ? " " : "", element_text(expected, worst, wanted, sizeof wanted),
           element_text(actual, worst, got, sizeof got), allowed, differing, norma_tensor_count(expected));
}

static void compare_exactly(const norma_tensor *expected, const norma_tensor *actual, difference *difference) {
  int64_t count = norma_tensor_count(expected), differing = 0, worst = 0;
  double worst_error = -1;
  for (int64_t i = 0; i < count; i++) {
    const bool equal =
        expected->type == NORMA_STRING ? strings_equal(expected, actual, i) : numbers_equal(expected, actual, i);
    if (equal) continue;
    const double error = element_error(expected, actual, i);
    if (error > worst_error) {
      worst = i;
      worst_error = error;
    }
    differing++;
  }
  if (worst_error > 0) difference->max_error = worst_error;
  difference->agrees = differing == 0;
  if (differing > 0) describe_worst(expected, actual, worst, differing, "", difference);
}

/* ---------------------------------------------------------------------------------------------------------- inexact */

/* Reads elements as (real, imaginary) pairs, or as single numbers. */
static void read_components(const norma_tensor *tensor, int64_t first, int64_t count, double *result) {
  if (!is_complex(tensor->type)) {
    read_doubles(tensor, first, count, result);
    return;
  }
  const norma_tensor flat = flat_view(tensor);
  read_doubles(&flat, 2 * first, 2 * count, result);
}

/* What a walk over two tensors finds. */
typedef struct walk_state {
  int64_t worst, differing;
  double worst_excess; /* error over what is allowed */
  double worst_error, worst_allowed;
} walk_state;

static double largest_magnitude(const norma_tensor *tensor) {
  double block[BLOCK], largest = 0;
  int64_t count = norma_tensor_count(tensor);
  for (int64_t first = 0; first < count; first += BLOCK) {
    int64_t size = count - first < BLOCK ? count - first : BLOCK;
    read_doubles(tensor, first, size, block);
    for (int64_t i = 0; i < size; i++) {
      if (isfinite(block[i]) && fabs(block[i]) > largest) largest = fabs(block[i]);
    }
  }
  return largest;
}

/* The error of one element; infinite where one is finite and the other is not. */
static double component_error(double expected, double actual) {
  if (isnan(expected) && isnan(actual)) return 0;
  if (expected == actual) return 0;
  double error = fabs(actual - expected);
  return isfinite(error) && isfinite(actual) && isfinite(expected) ? error : INFINITY;
}

static void compare_block(const double *expected, const double *actual, int64_t first, int64_t count, int parts,
                          const tolerance *tolerance, double fixed_allowance, walk_state *state,
                          difference *difference) {
  for (int64_t i = 0; i < count; i++) {
    const double *e = expected + i * parts, *a = actual + i * parts;
    double error = component_error(e[0], a[0]), magnitude = fabs(e[0]);
    if (parts == 2) {
      error = hypot(error, component_error(e[1], a[1]));
      magnitude = hypot(e[0], e[1]);
    }
    if (error > difference->max_error) difference->max_error = error;
    if (error == 0) continue;
    double allowed = fixed_allowance >= 0 ? fixed_allowance : tolerance->atol + tolerance->rtol * magnitude;
    if (error <= allowed && isfinite(error)) continue;
    double excess = error / (allowed > 0 ? allowed : 1e-300);
    if (state->differing == 0 || excess > state->worst_excess) {
      state->worst = first + i;
      state->worst_excess = excess;
      state->worst_error = error;
      state->worst_allowed = allowed;
    }
    state->differing++;
  }
}

static void compare_elements(const norma_tensor *expected, const norma_tensor *actual, const tolerance *tolerance,
                             difference *difference) {
  double left[2 * BLOCK], right[2 * BLOCK];
  walk_state state = {0};
  int parts = is_complex(expected->type) ? 2 : 1;
  double fixed = -1;
  if (tolerance->rule == COMPARE_MAX) {
    /* of a tensor of zeros nothing is left but an absolute bound */
    fixed = difference->magnitude > 0 ? tolerance->max * difference->magnitude : tolerance->atol;
  }
  int64_t count = norma_tensor_count(expected);
  for (int64_t first = 0; first < count; first += BLOCK) {
    int64_t size = count - first < BLOCK ? count - first : BLOCK;
    read_components(expected, first, size, left);
    read_components(actual, first, size, right);
    compare_block(left, right, first, size, parts, tolerance, fixed, &state, difference);
  }
  difference->agrees = state.differing == 0;
  if (state.differing > 0) {
    char allowed[96];
    snprintf(allowed, sizeof allowed, " (error %.3g, allowed %.3g)", state.worst_error, state.worst_allowed);
    describe_worst(expected, actual, state.worst, state.differing, allowed, difference);
  }
}

/* ------------------------------------------------------------------------------------------------- other properties */

/* Along the last axis that is longer than 1, so that N x C x 1 x 1 has rows of C; 1 if there is none. */
static int64_t row_length(const norma_tensor *tensor) {
  int axis = tensor->rank - 1;
  while (axis > 0 && tensor->dims[axis] == 1) axis--;
  return tensor->rank > 0 ? tensor->dims[axis] : 1;
}

/* The first largest element of a row; a NaN is never the largest. */
static int64_t row_top(const norma_tensor *tensor, int64_t row, int64_t length, double *top) {
  double block[BLOCK];
  int64_t best = 0;
  *top = -INFINITY;
  for (int64_t first = 0; first < length; first += BLOCK) {
    int64_t size = length - first < BLOCK ? length - first : BLOCK;
    read_doubles(tensor, row * length + first, size, block);
    for (int64_t i = 0; i < size; i++) {
      if (block[i] > *top) {
        *top = block[i];
        best = first + i;
      }
    }
  }
  return best;
}

static void count_tops(const norma_tensor *expected, const norma_tensor *actual, difference *difference) {
  int64_t length = row_length(expected), count = norma_tensor_count(expected);
  if (count == 0 || length <= 1) return;
  difference->rows = count / length;
  for (int64_t row = 0; row < difference->rows; row++) {
    double wanted, got, there;
    int64_t best = row_top(expected, row, length, &wanted), other = row_top(actual, row, length, &got);
    read_doubles(expected, row * length + other, 1, &there);
    if (best == other || there == wanted) { /* of equal ones either may be named */
      difference->rows_with_same_top++;
    } else if (difference->text[0] == '\0') {
      snprintf(difference->text, sizeof difference->text,
               "row %" PRId64 " has its largest element at %" PRId64 ", expected at %" PRId64, row, other, best);
    }
  }
}

static void compare_top(const norma_tensor *expected, const norma_tensor *actual, difference *difference) {
  difference->rows = difference->rows_with_same_top = 0;
  difference->text[0] = '\0';
  count_tops(expected, actual, difference);
  difference->agrees = difference->rows == difference->rows_with_same_top;
}

static void compare_cosine(const norma_tensor *expected, const norma_tensor *actual, double least,
                           difference *difference) {
  double left[2 * BLOCK], right[2 * BLOCK], product = 0, left_square = 0, right_square = 0;
  int parts = is_complex(expected->type) ? 2 : 1;
  int64_t count = norma_tensor_count(expected);
  for (int64_t first = 0; first < count; first += BLOCK) {
    int64_t size = count - first < BLOCK ? count - first : BLOCK;
    read_components(expected, first, size, left);
    read_components(actual, first, size, right);
    for (int64_t i = 0; i < size * parts; i++) {
      product += left[i] * right[i];
      left_square += left[i] * left[i];
      right_square += right[i] * right[i];
    }
  }
  double cosine = product / (sqrt(left_square) * sqrt(right_square));
  if (left_square == 0 && right_square == 0) cosine = 1;
  difference->agrees = cosine >= least; /* false for NaN */
  if (!difference->agrees) {
    snprintf(difference->text, sizeof difference->text, "cosine similarity %.6g, expected at least %.6g", cosine,
             least);
  }
}

static void compare_domain(const norma_tensor *actual, difference *difference) {
  int64_t count = norma_tensor_count(actual);
  difference->agrees = true;
  for (int64_t i = 0; i < count && difference->agrees; i++) {
    double number;
    read_doubles(actual, i, 1, &number);
    if (number == 0 || number == 1) continue;
    char place[128], got[200];
    difference->agrees = false;
    snprintf(difference->text, sizeof difference->text, "element %s is %s, expected 0 or 1",
             index_text(actual, i, place, sizeof place), element_text(actual, i, got, sizeof got));
  }
}

/* -------------------------------------------------------------------------------------------------------------- all */

void compare_tensors(const norma_tensor *expected, const norma_tensor *actual, const tolerance *tolerance,
                     difference *difference) {
  *difference = (struct difference){.agrees = false};
  bool same = expected->type == actual->type && expected->rank == actual->rank;
  for (int i = 0; same && i < expected->rank; i++) same = expected->dims[i] == actual->dims[i];
  if (!same) {
    char wanted[128], got[128];
    snprintf(difference->text, sizeof difference->text, "expected %s %s, got %s %s",
             norma_element_type_name(expected->type), dims_text(expected->rank, expected->dims, wanted, sizeof wanted),
             norma_element_type_name(actual->type), dims_text(actual->rank, actual->dims, got, sizeof got));
    return;
  }
  bool text = expected->type == NORMA_STRING;
  if (!text) {
    difference->magnitude = largest_magnitude(expected);
    count_tops(expected, actual, difference);
    difference->text[0] = '\0';
  }
  if (text ||
      (!type_is_inexact(expected->type) && tolerance->rule != COMPARE_COSINE && tolerance->rule != COMPARE_DOMAIN)) {
    compare_exactly(expected, actual, difference);
    return;
  }
  switch (tolerance->rule) {
  case COMPARE_ELEMENTS:
  case COMPARE_MAX:
    compare_elements(expected, actual, tolerance, difference);
    break;
  case COMPARE_TOP1:
    compare_top(expected, actual, difference);
    break;
  case COMPARE_COSINE:
    compare_cosine(expected, actual, tolerance->min, difference);
    break;
  case COMPARE_DOMAIN:
    compare_domain(actual, difference);
    break;
  }
}

static const norma_value *unwrap(const norma_value *value) {
  while (value && norma_value_get_kind(value) == NORMA_VALUE_OPTIONAL) value = norma_value_element(value, 0);
  return value && norma_value_get_kind(value) == NORMA_VALUE_NONE ? NULL : value;
}

static void compare_lists(const norma_value *expected, const norma_value *actual, const tolerance *tolerance,
                          difference *difference) {
  size_t count = norma_value_count(expected);
  *difference = (struct difference){.agrees = true};
  if (norma_value_count(actual) != count) {
    difference->agrees = false;
    snprintf(difference->text, sizeof difference->text, "expected %zu elements, got %zu", count,
             norma_value_count(actual));
    return;
  }
  for (size_t i = 0; i < count; i++) {
    struct difference one;
    compare_values(norma_value_element(expected, i), norma_value_element(actual, i), tolerance, &one);
    if (one.max_error > difference->max_error) difference->max_error = one.max_error;
    if (one.magnitude > difference->magnitude) difference->magnitude = one.magnitude;
    difference->rows += one.rows;
    difference->rows_with_same_top += one.rows_with_same_top;
    if (!one.agrees && difference->agrees) {
      difference->agrees = false;
      snprintf(difference->text, sizeof difference->text, "item %zu: %.700s", i, one.text);
    }
  }
}

void compare_values(const norma_value *expected, const norma_value *actual, const tolerance *tolerance,
                    difference *difference) {
  expected = unwrap(expected);
  actual = unwrap(actual);
  *difference = (struct difference){.agrees = !expected && !actual};
  if (difference->agrees) return;
  if (!expected || !actual || norma_value_get_kind(expected) != norma_value_get_kind(actual)) {
    char wanted[256], got[256];
    snprintf(difference->text, sizeof difference->text, "expected %s, got %s",
             value_type_text(expected, wanted, sizeof wanted), value_type_text(actual, got, sizeof got));
    return;
  }
  if (norma_value_get_kind(expected) == NORMA_VALUE_TENSOR) {
    compare_tensors(norma_value_tensor(expected), norma_value_tensor(actual), tolerance, difference);
  } else {
    compare_lists(expected, actual, tolerance, difference);
  }
}
