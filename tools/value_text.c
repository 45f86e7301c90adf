#include "tools/value_text.h"

#include "tools/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Appends to a text of `size` bytes that holds *used; what does not fit is cut. */
static void add(char *text, size_t size, size_t *used, const char *format, ...) __attribute__((format(printf, 4, 5)));
static void add(char *text, size_t size, size_t *used, const char *format, ...) {
  if (*used + 1 >= size) return;
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text + *used, size - *used, format, arguments);
  va_end(arguments);
  if (length > 0) *used = *used + (size_t)length < size ? *used + (size_t)length : size - 1;
}

static void add_declared_shape(char *text, size_t size, size_t *used, const norma_value_info *info) {
  bool fixed = true;
  for (int i = 0; i < info->rank; i++) fixed = fixed && info->dims[i] >= 0;
  for (int i = 0; i < info->rank; i++) {
    if (i > 0) add(text, size, used, fixed ? "x" : " x ");
    if (info->dims[i] >= 0) {
      add(text, size, used, "%" PRId64, info->dims[i]);
    } else {
      char name[64];
      add(text, size, used, "%s", info->dim_names[i] ? printable(info->dim_names[i], name, sizeof name) : "?");
    }
  }
  if (info->rank == 0) add(text, size, used, "scalar");
  if (info->rank < 0) add(text, size, used, "of any shape");
}

const char *info_text(const norma_value_info *info, char *text, size_t size) {
  size_t used = 0;
  text[0] = '\0';
  if (info->kind == NORMA_VALUE_SEQUENCE) add(text, size, &used, "sequence of ");
  if (info->kind == NORMA_VALUE_OPTIONAL) add(text, size, &used, "optional ");
  if (info->kind == NORMA_VALUE_MAP) {
    add(text, size, &used, "map");
  } else if (info->type == NORMA_UNDEFINED) {
    add(text, size, &used, info->kind == NORMA_VALUE_NONE ? "unknown type" : "values");
  } else {
    add(text, size, &used, "%s ", norma_element_type_name(info->type));
    add_declared_shape(text, size, &used, info);
  }
  return text;
}

const char *dims_text(int rank, const int64_t *dims, char *text, size_t size) {
  size_t used = 0;
  text[0] = '\0';
  if (rank <= 0) add(text, size, &used, rank == 0 ? "scalar" : "?");
  for (int i = 0; i < rank; i++) {
    if (i > 0) add(text, size, &used, "x");
    add(text, size, &used, dims[i] < 0 ? "?" : "%" PRId64, dims[i]);
  }
  return text;
}

const char *value_type_text(const norma_value *value, char *text, size_t size) {
  const norma_tensor *tensor = norma_value_tensor(value);
  size_t used = 0;
  text[0] = '\0';
  switch (value ? norma_value_get_kind(value) : NORMA_VALUE_NONE) {
  case NORMA_VALUE_NONE:
    add(text, size, &used, "nothing");
    break;
  case NORMA_VALUE_TENSOR:
    add(text, size, &used, "%s %s", norma_element_type_name(tensor->type), tensor->rank == 0 ? "scalar" : "");
    for (int i = 0; i < tensor->rank; i++) add(text, size, &used, i > 0 ? "x%" PRId64 : "%" PRId64, tensor->dims[i]);
    break;
  case NORMA_VALUE_SEQUENCE:
    add(text, size, &used, "sequence of %zu", norma_value_count(value));
    break;
  case NORMA_VALUE_OPTIONAL:
    add(text, size, &used, norma_value_count(value) > 0 ? "optional with an element" : "empty optional");
    break;
  case NORMA_VALUE_MAP:
    add(text, size, &used, "map");
    break;
  }
  return text;
}

/* The shortest digits that read back as the same number of that precision. */
static void float_text(double number, int most_digits, double (*round_to)(double), char *text, size_t size) {
  for (int digits = 6; digits <= most_digits; digits++) {
    snprintf(text, size, "%.*g", digits, number);
    if (isnan(number) || round_to(strtod(text, NULL)) == number) return;
  }
}

static double as_double(double number) {
  return number;
}

static double as_float(double number) {
  return (double)(float)number;
}

static void quoted_text(const norma_string *string, char *text, size_t size) {
  char raw[96];
  size_t length = string->size < sizeof raw - 1 ? string->size : sizeof raw - 1;
  for (size_t i = 0; i < length; i++) raw[i] = string->data[i] != '\0' ? string->data[i] : '\1'; /* shown as \x01 */
  raw[length] = '\0';
  char shown[400];
  snprintf(text, size, length < string->size ? "\"%s...\"" : "\"%s\"", printable(raw, shown, sizeof shown));
}

/* Whole numbers as they are, others with the digits of single precision. */
static void number_text(const norma_tensor *tensor, int64_t index, char *text, size_t size) {
  int64_t whole = 0;
  double number = 0;
  if (norma_element_type_class(tensor->type) == NORMA_CLASS_FLOAT) {
    norma_tensor_get_doubles(tensor, index, 1, &number);
    float_text(number, 9, as_float, text, size);
  } else {
    norma_tensor_get_integers(tensor, index, 1, &whole);
    snprintf(text, size, "%" PRId64, whole);
  }
}

const char *element_text(const norma_tensor *tensor, int64_t index, char *text, size_t size) {
  char real[40], imaginary[40];
  const void *data = tensor->data;
  switch (tensor->type) {
  case NORMA_STRING:
    quoted_text(&((const norma_string *)data)[index], text, size);
    break;
  case NORMA_BOOL:
    snprintf(text, size, "%s", ((const uint8_t *)data)[index] ? "true" : "false");
    break;
  case NORMA_DOUBLE:
    float_text(((const double *)data)[index], 17, as_double, text, size);
    break;
  case NORMA_COMPLEX64:
    float_text(((const float *)data)[2 * index], 9, as_float, real, sizeof real);
    float_text(((const float *)data)[2 * index + 1], 9, as_float, imaginary, sizeof imaginary);
    snprintf(text, size, "%s%s%si", real, imaginary[0] == '-' ? "" : "+", imaginary);
    break;
  case NORMA_COMPLEX128:
    float_text(((const double *)data)[2 * index], 17, as_double, real, sizeof real);
    float_text(((const double *)data)[2 * index + 1], 17, as_double, imaginary, sizeof imaginary);
    snprintf(text, size, "%s%s%si", real, imaginary[0] == '-' ? "" : "+", imaginary);
    break;
  case NORMA_UINT64:
    snprintf(text, size, "%" PRIu64, ((const uint64_t *)data)[index]);
    break;
  default:
    number_text(tensor, index, text, size);
    break;
  }
  return text;
}

const char *index_text(const norma_tensor *tensor, int64_t index, char *text, size_t size) {
  int64_t position[NORMA_MAX_RANK];
  size_t used = 0;
  text[0] = '\0';
  for (int axis = tensor->rank - 1; axis >= 0; axis--) {
    position[axis] = index % tensor->dims[axis];
    index /= tensor->dims[axis];
  }
  for (int axis = 0; axis < tensor->rank; axis++)
    add(text, size, &used, axis > 0 ? ", %" PRId64 : "[%" PRId64, position[axis]);
  if (tensor->rank > 0) add(text, size, &used, "]");
  return text;
}

bool type_is_inexact(norma_element_type type) {
  const norma_element_class kind = norma_element_type_class(type);
  return kind == NORMA_CLASS_FLOAT || kind == NORMA_CLASS_COMPLEX;
}

norma_tensor flat_view(const norma_tensor *tensor) {
  norma_tensor flat = *tensor;
  flat.rank = 1;
  flat.dims[0] = norma_tensor_count(tensor);
  if (norma_element_type_class(tensor->type) == NORMA_CLASS_COMPLEX) {
    flat.type = tensor->type == NORMA_COMPLEX64 ? NORMA_FLOAT : NORMA_DOUBLE;
    flat.dims[0] *= 2;
  }
  return flat;
}

void read_doubles(const norma_tensor *tensor, int64_t first, int64_t count, double *result) {
  if (norma_element_type_class(tensor->type) != NORMA_CLASS_COMPLEX) {
    norma_tensor_get_doubles(tensor, first, count, result);
    return;
  }
  const norma_tensor flat = flat_view(tensor);
  for (int64_t i = 0; i < count; i++) {
    double pair[2] = {0, 0};
    norma_tensor_get_doubles(&flat, 2 * (first + i), 2, pair);
    result[i] = hypot(pair[0], pair[1]);
  }
}

enum { BLOCK = 256 };

bool tensor_measure(const norma_tensor *tensor, tensor_statistics *statistics) {
  *statistics = (tensor_statistics){.minimum = INFINITY, .maximum = -INFINITY};
  if (tensor->type == NORMA_STRING) return false;
  double block[BLOCK], sum = 0;
  int64_t count = norma_tensor_count(tensor);
  for (int64_t first = 0; first < count; first += BLOCK) {
    int64_t size = count - first < BLOCK ? count - first : BLOCK;
    read_doubles(tensor, first, size, block);
    for (int64_t i = 0; i < size; i++) {
      if (isnan(block[i])) {
        statistics->nans++;
      } else if (isinf(block[i])) {
        statistics->infinities++;
      } else {
        statistics->finite++;
        sum += block[i];
        if (block[i] < statistics->minimum) statistics->minimum = block[i];
        if (block[i] > statistics->maximum) statistics->maximum = block[i];
      }
    }
  }
  if (statistics->finite > 0) statistics->mean = sum / (double)statistics->finite;
  return statistics->finite > 0;
}

static void print_tensor(FILE *file, const norma_tensor *tensor) {
  enum { SHOWN = 8 };
  tensor_statistics statistics;
  bool measured = tensor_measure(tensor, &statistics);
  int64_t count = norma_tensor_count(tensor);
  if (count > 1 && tensor->type != NORMA_BOOL) {
    if (measured) {
      fprintf(file, "  min %.6g  max %.6g  mean %.6g", statistics.minimum, statistics.maximum, statistics.mean);
    }
    if (statistics.nans > 0) fprintf(file, "  NaN %" PRId64, statistics.nans);
    if (statistics.infinities > 0) fprintf(file, "  infinite %" PRId64, statistics.infinities);
  }
  if (count > 0) fprintf(file, "\n ");
  for (int64_t i = 0; i < count && i < SHOWN; i++) {
    char text[480];
    fprintf(file, " %s", element_text(tensor, i, text, sizeof text));
  }
  fputs(count > SHOWN ? " ...\n" : "\n", file);
}

void print_value(FILE *file, const char *name, const norma_value *value) {
  enum { SHOWN = 16 };
  char type[300], inner[256];
  print_text(file, name);
  fprintf(file, "  %s", value_type_text(value, type, sizeof type));
  const norma_tensor *tensor = value ? norma_value_tensor(value) : NULL;
  if (tensor) {
    print_tensor(file, tensor);
    return;
  }
  fputc('\n', file);
  size_t count = value ? norma_value_count(value) : 0;
  for (size_t i = 0; i < count && i < SHOWN; i++) {
    bool is_map = norma_value_get_kind(value) == NORMA_VALUE_MAP;
    snprintf(inner, sizeof inner, is_map ? "%.200s.%s" : "%.200s[%s]", name,
             is_map ? (i == 0 ? "keys" : "values") : "");
    if (!is_map) snprintf(inner, sizeof inner, "%.200s[%zu]", name, i);
    print_value(file, inner, norma_value_element(value, i));
  }
  if (count > SHOWN) fprintf(file, "  ... %zu more\n", count - SHOWN);
}
