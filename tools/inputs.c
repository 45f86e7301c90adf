#include "tools/inputs.h"

#include "tools/formats/file_error.h"
#include "tools/formats/tensor_file.h"
#include "tools/report.h"
#include "tools/value_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What is known while inputs are gathered. */
typedef struct gathering {
  input_set *set;
  const norma_model *model;
} gathering;

static size_t find_input(const input_set *set, const char *name, size_t length) {
  for (size_t i = 0; i < set->count; i++) {
    if (strlen(set->names[i]) == length && memcmp(set->names[i], name, length) == 0) return i;
  }
  return set->count;
}

static size_t next_free_input(const input_set *set) {
  size_t i = 0;
  while (i < set->count && set->values[i]) i++;
  return i;
}

/* "'x', 'y'" for messages. */
static const char *input_names(const input_set *set, char *text, size_t size) {
  size_t used = 0;
  snprintf(text, size, "none");
  for (size_t i = 0; i < set->count && used + 8 < size; i++) {
    int length = snprintf(text + used, size - used, "%s'%s'", i > 0 ? ", " : "", set->names[i]);
    used += length > 0 ? (size_t)length : 0;
  }
  return text;
}

/* ------------------------------------------------------------------------------------------------------- from files */

static norma_status place_member(gathering *gathering, const char *name, norma_value *value, norma_error *error) {
  input_set *set = gathering->set;
  char names[512];
  size_t index = find_input(set, name, strlen(name));
  /* numpy.savez calls what got no name arr_0, arr_1, ... */
  if (index == set->count && strncmp(name, "arr_", 4) == 0) index = next_free_input(set);
  if (index == set->count) {
    return set_error(error, NORMA_ERROR_INPUT, "the model has no input '%s'; its inputs are %s", name,
                     input_names(set, names, sizeof names));
  }
  if (set->values[index]) {
    return set_error(error, NORMA_ERROR_INPUT, "input '%s' is given twice", set->names[index]);
  }
  set->values[index] = value;
  return NORMA_OK;
}

static norma_status take_member(void *context, const char *name, norma_value *value, norma_error *error) {
  norma_status status = place_member(context, name, value, error);
  if (status != NORMA_OK) norma_value_destroy(value);
  return status;
}

/* The input that "NAME=FILE" names; NULL in *file if there is no name in front. A name may hold '=' itself. */
static size_t split_name(const input_set *set, const char *text, const char **file) {
  for (const char *equals = strchr(text, '='); equals; equals = strchr(equals + 1, '=')) {
    size_t index = find_input(set, text, (size_t)(equals - text));
    if (index < set->count) {
      *file = equals + 1;
      return index;
    }
  }
  *file = NULL;
  return set->count;
}

static bool read_one(gathering *gathering, size_t index, const char *path) {
  input_set *set = gathering->set;
  norma_value_info info;
  norma_error error;
  if (set->values[index]) {
    tool_error("input '%s' is given twice", set->names[index]);
    return false;
  }
  norma_model_input(gathering->model, index, &info);
  if (tensor_file_read(set->runtime, path, &info, &set->values[index], &error) == NORMA_OK) return true;
  tool_error("input '%s': %s", set->names[index], error.message);
  return false;
}

static bool read_input(gathering *gathering, const char *text) {
  input_set *set = gathering->set;
  char names[512];
  const char *file;
  struct stat facts;
  norma_error error;
  size_t index = split_name(set, text, &file);
  if (file) return read_one(gathering, index, file);
  const char *equals = strchr(text, '=');
  if (equals && stat(text, &facts) != 0) {
    tool_error("the model has no input '%.*s'; its inputs are %s", (int)(equals - text), text,
               input_names(set, names, sizeof names));
    return false;
  }
  if (tensor_file_is_archive(text)) {
    if (tensor_file_read_archive(set->runtime, text, take_member, gathering, &error) == NORMA_OK) return true;
    tool_error("%s", error.message);
    return false;
  }
  index = next_free_input(set);
  if (index == set->count) {
    tool_error("%s: one input too many; the model's inputs are %s", text, input_names(set, names, sizeof names));
    return false;
  }
  return read_one(gathering, index, text);
}

/* ---------------------------------------------------------------------------------------------------------- made up */

/* SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t random_bits(uint64_t *state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

/* In (0, 1). */
static double random_unit(uint64_t *state) {
  return ((double)(random_bits(state) >> 11) + 0.5) * 0x1p-53;
}

static double random_normal(uint64_t *state) { /* Box and Muller */
  double radius = sqrt(-2 * log(random_unit(state)));
  return radius * cos(6.283185307179586 * random_unit(state));
}

static double random_number(norma_element_type type, uint64_t *state) {
  const norma_element_class kind = norma_element_type_class(type);
  const int bits = norma_element_type_bits(type);
  if (kind == NORMA_CLASS_BOOL) return (double)(random_bits(state) >> 63);
  if (kind == NORMA_CLASS_FLOAT) return random_normal(state);
  return (double)(random_bits(state) % (bits > 4 ? 10 : bits == 4 ? 8 : 2));
}

static void fill_numbers(const norma_tensor *tensor, fill_kind kind, uint64_t *state) {
  enum { BLOCK = 256 };
  norma_tensor flat = flat_view(tensor);
  const bool is_complex = flat.type != tensor->type; /* of ones the real parts alone are 1 */
  const int64_t count = norma_tensor_count(&flat);
  double numbers[BLOCK];
  for (int64_t first = 0; first < count; first += BLOCK) {
    const int64_t length = count - first < BLOCK ? count - first : BLOCK;
    for (int64_t i = 0; i < length; i++) {
      numbers[i] = kind == FILL_ONES && (!is_complex || i % 2 == 0) ? 1 : 0;
      if (kind == FILL_RANDOM) numbers[i] = random_number(flat.type, state);
    }
    norma_tensor_set_doubles(&flat, first, length, numbers);
  }
}

static norma_status fill_strings(norma_runtime *runtime, int rank, const int64_t *dims, fill_kind kind, uint64_t *state,
                                 norma_value **value, norma_error *error) {
  static const char digits[] = "0123456789";
  norma_value *places;
  TRY(norma_value_allocate_tensor(runtime, NORMA_STRING, rank, dims, &places, error));
  const norma_tensor *tensor = norma_value_tensor(places);
  norma_string *strings = tensor->data;
  for (int64_t i = 0; i < norma_tensor_count(tensor); i++) {
    strings[i] = (norma_string){digits + (kind == FILL_RANDOM ? random_bits(state) % 10 : kind == FILL_ONES), 1};
  }
  norma_status status = norma_value_create_tensor(runtime, tensor, value, error);
  norma_value_destroy(places);
  return status;
}

norma_status fill_value(norma_runtime *runtime, norma_element_type type, int rank, const int64_t *dims, fill_kind kind,
                        uint64_t seed, norma_value **value, norma_error *error) {
  uint64_t state = seed * 0x2545F4914F6CDD1Du + 1;
  if (type == NORMA_STRING) return fill_strings(runtime, rank, dims, kind, &state, value, error);
  TRY(norma_value_allocate_tensor(runtime, type, rank, dims, value, error));
  fill_numbers(norma_value_tensor(*value), kind, &state);
  return NORMA_OK;
}

/* Symbolic dimensions that --shape or a file has fixed. */
typedef struct named_dim {
  const char *name;
  int64_t size;
} named_dim;

typedef struct named_dims {
  size_t count;
  named_dim dims[64];
} named_dims;

static void learn_dims(named_dims *named, const norma_value_info *info, int rank, const int64_t *dims) {
  for (int i = 0; i < rank && i < info->rank; i++) {
    if (info->dims[i] >= 0 || !info->dim_names[i] || named->count == sizeof named->dims / sizeof named->dims[0])
      continue;
    named->dims[named->count++] = (named_dim){info->dim_names[i], dims[i]};
  }
}

static int64_t dim_of_name(const named_dims *named, const char *name) {
  for (size_t i = 0; name && i < named->count; i++) {
    if (strcmp(named->dims[i].name, name) == 0) return named->dims[i].size;
  }
  return 1;
}

int inputs_find_shape(const text_list *shapes, const char *name, int64_t dims[NORMA_MAX_RANK]) {
  for (size_t i = shapes->count; i-- > 0;) {
    const char *equals = strrchr(shapes->items[i], '=');
    if ((size_t)(equals - shapes->items[i]) == strlen(name) && strncmp(shapes->items[i], name, strlen(name)) == 0) {
      return parse_shape(equals + 1, dims);
    }
  }
  return -1;
}

static bool check_shape_options(const struct input_settings *settings, const input_set *set) {
  char names[512];
  for (size_t i = 0; i < settings->shapes.count; i++) {
    const char *text = settings->shapes.items[i], *equals = strrchr(text, '=');
    if (find_input(set, text, (size_t)(equals - text)) == set->count) {
      tool_error("--shape %s: the model has no such input; its inputs are %s", text,
                 input_names(set, names, sizeof names));
      return false;
    }
  }
  return true;
}

static bool choose_shape(const struct input_settings *settings, const named_dims *named, const norma_value_info *info,
                         int *result_rank, int64_t result[NORMA_MAX_RANK]) {
  int64_t dims[NORMA_MAX_RANK];
  char declared[300];
  int rank = inputs_find_shape(&settings->shapes, info->name, dims);
  if (rank < 0 && info->rank < 0) {
    tool_error("input '%s' may have any shape: say which by --shape %s=...", info->name, info->name);
    return false;
  }
  bool fits = rank < 0 || info->rank < 0 || rank == info->rank;
  for (int i = 0; fits && rank >= 0 && i < info->rank; i++) fits = info->dims[i] < 0 || info->dims[i] == dims[i];
  if (!fits) {
    tool_error("--shape: input '%s' is %s", info->name, info_text(info, declared, sizeof declared));
    return false;
  }
  *result_rank = rank >= 0 ? rank : info->rank;
  for (int i = 0; i < *result_rank; i++) {
    result[i] = rank >= 0 ? dims[i] : info->dims[i] >= 0 ? info->dims[i] : dim_of_name(named, info->dim_names[i]);
  }
  return true;
}

static bool fill_one(input_set *set, const struct input_settings *settings, const named_dims *named, size_t index,
                     const norma_value_info *info, fill_kind kind) {
  norma_error error;
  int rank;
  int64_t dims[NORMA_MAX_RANK];
  if (info->kind == NORMA_VALUE_OPTIONAL) {
    if (norma_value_create_optional(set->runtime, NULL, &set->values[index], &error) == NORMA_OK) return true;
    tool_error("input '%s': %s", info->name, error.message);
    return false;
  }
  if (info->kind != NORMA_VALUE_TENSOR || info->type == NORMA_UNDEFINED) {
    tool_error("input '%s' is no tensor, so it cannot be made up; give it by -i", info->name);
    return false;
  }
  if (!choose_shape(settings, named, info, &rank, dims)) return false;
  uint64_t seed = settings->seed + index * 1000003;
  if (fill_value(set->runtime, info->type, rank, dims, kind, seed, &set->values[index], &error) == NORMA_OK)
    return true;
  tool_error("input '%s': %s", info->name, error.message);
  return false;
}

/* -------------------------------------------------------------------------------------------------------------- all */

static bool fill_missing(input_set *set, const struct input_settings *settings, const norma_model *model,
                         fill_kind kind) {
  named_dims named = {0};
  norma_value_info info;
  int64_t dims[NORMA_MAX_RANK];
  char text[300];
  for (size_t i = 0; i < set->count; i++) {
    norma_model_input(model, i, &info);
    int rank = inputs_find_shape(&settings->shapes, info.name, dims);
    if (rank >= 0) learn_dims(&named, &info, rank, dims);
    const norma_tensor *tensor = norma_value_tensor(set->values[i]);
    if (tensor) learn_dims(&named, &info, tensor->rank, tensor->dims);
  }
  for (size_t i = 0; i < set->count; i++) {
    if (set->values[i]) continue;
    norma_model_input(model, i, &info);
    if (info.optional) continue;
    if (kind == FILL_NONE) {
      tool_error("input '%s' (%s) is missing; give it by -i %s=FILE or make it by --fill random", info.name,
                 info_text(&info, text, sizeof text), info.name);
      return false;
    }
    if (!fill_one(set, settings, &named, i, &info, kind)) return false;
  }
  return true;
}

/* A set for the inputs of the model, none of which is there yet. */
static bool make_set(input_set *set, norma_runtime *runtime, const norma_model *model) {
  const size_t count = norma_model_input_count(model);
  *set = (input_set){.runtime = runtime};
  set->values = calloc(count + 1, sizeof *set->values);
  set->names = calloc(count + 1, sizeof *set->names);
  bool good = set->values && set->names;
  for (; good && set->count < count; set->count++) {
    norma_value_info info;
    norma_model_input(model, set->count, &info);
    set->names[set->count] = strdup(info.name);
    good = set->names[set->count] != NULL;
    if (!good) break;
  }
  if (!good) tool_error("out of memory for the inputs");
  return good;
}

bool inputs_collect(input_set *set, const struct input_settings *settings, norma_runtime *runtime,
                    const norma_model *model, fill_kind otherwise) {
  if (!make_set(set, runtime, model) || !check_shape_options(settings, set)) return false;
  gathering gathering = {.set = set, .model = model};
  for (size_t i = 0; i < settings->files.count; i++) {
    if (!read_input(&gathering, settings->files.items[i])) return false;
  }
  return fill_missing(set, settings, model, settings->fill != FILL_NONE ? settings->fill : otherwise);
}

bool inputs_check_shapes(const struct input_settings *settings, const norma_model *model) {
  input_set set;
  bool good = make_set(&set, NULL, model) && check_shape_options(settings, &set);
  inputs_free(&set);
  return good;
}

void inputs_free(input_set *set) {
  for (size_t i = 0; i < set->count; i++) {
    norma_value_destroy(set->values[i]);
    free(set->names[i]);
  }
  free(set->values);
  free(set->names);
  *set = (input_set){0};
}

bool inputs_bind(const input_set *set, norma_session *session) {
  norma_error error;
  for (size_t i = 0; i < set->count; i++) {
    if (!set->values[i]) continue;
    if (norma_session_set_input_value(session, set->names[i], set->values[i], &error) != NORMA_OK) {
      tool_library_error(NULL, &error);
      return false;
    }
  }
  return true;
}
