#include "tools/bn/bn_data.h"

#include "tools/formats/input_file.h"
#include "tools/formats/npy.h"
#include "tools/formats/picture.h"
#include "tools/formats/tensor_file.h"
#include "tools/report.h"
#include "tools/value_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEFAULT_BATCH = 32, PATH_SIZE = 4096 };

/* ----------------------------------------------------------------------------------------------------------- pieces */

static bool no_memory(void) {
  tool_error("out of memory for the data");
  return false;
}

static bool add_piece(bn_input *input, const bn_piece *piece) {
  if (input->count == input->capacity) {
    size_t capacity = input->capacity ? 2 * input->capacity : 16;
    bn_piece *grown = realloc(input->pieces, capacity * sizeof *grown);
    if (!grown) return no_memory();
    input->pieces = grown;
    input->capacity = capacity;
  }
  bn_piece *added = &input->pieces[input->count];
  *added = *piece;
  added->path = strdup(piece->path);
  if (!added->path) return no_memory();
  added->first = input->samples;
  input->samples += added->count;
  input->count++;
  return true;
}

static bool has_preprocessing(const struct reestimate_settings *settings) {
  return settings->scale != 0 || settings->mean.count > 0 || settings->std.count > 0;
}

/* Types whose elements can be NaN or infinite, and that preprocessing makes. */
static bool is_float(norma_element_type type) {
  return norma_element_type_class(type) == NORMA_CLASS_FLOAT && norma_element_type_bits(type) >= 16;
}

static bool is_number(norma_element_type type) {
  const norma_element_class kind = norma_element_type_class(type);
  return is_float(type) ||
         ((kind == NORMA_CLASS_SIGNED || kind == NORMA_CLASS_UNSIGNED) && norma_element_type_bits(type) >= 8);
}

/* The elements of one sample. */
static int64_t sample_elements(const norma_tensor *tensor) {
  int64_t product = 1;
  for (int i = 1; i < tensor->rank; i++) product *= tensor->dims[i];
  return product;
}

/* Whether a tensor can be samples of an input, whose first dimension counts them. */
static bool samples_fit(const norma_value_info *declared, const norma_tensor *tensor) {
  if (tensor->rank < 1 || (declared->rank >= 0 && declared->rank != tensor->rank)) return false;
  for (int i = 1; i < declared->rank; i++) {
    if (declared->dims[i] >= 0 && declared->dims[i] != tensor->dims[i]) return false;
  }
  return true;
}

/* Whether samples of this array fit the input, and how many there are. An array of one axis less is one sample. */
static bool check_array(const bn_data *data, const bn_input *input, bn_piece *piece) {
  norma_tensor *view = &piece->view;
  const norma_value_info *declared = &input->declared;
  char found[200], wanted[200];
  const bool converts = is_float(declared->type) && has_preprocessing(data->settings) && is_number(view->type);
  if (view->type != declared->type && !converts) {
    tool_error("%s: holds %s, but input '%s' is %s%s", piece->path, norma_element_type_name(view->type), input->name,
               norma_element_type_name(declared->type),
               is_float(declared->type) && view->type == NORMA_UINT8 ? "; give --scale 1/255 to convert" : "");
    return false;
  }
  if (declared->rank >= 0 && view->rank == declared->rank - 1) { /* one sample without its axis */
    memmove(view->dims + 1, view->dims, (size_t)view->rank * sizeof view->dims[0]);
    view->dims[0] = 1;
    view->rank++;
  }
  if (!samples_fit(declared, view)) {
    tool_error("%s: has shape %s, but input '%s' is %s", piece->path,
               dims_text(view->rank, view->dims, found, sizeof found), input->name,
               dims_text(declared->rank, declared->dims, wanted, sizeof wanted));
    return false;
  }
  piece->count = view->dims[0];
  return true;
}

static bool add_array(bn_data *data, bn_input *input, bn_piece *piece) {
  if (check_array(data, input, piece) && add_piece(input, piece)) return true;
  norma_value_destroy(piece->decoded);
  return false;
}

/* ----------------------------------------------------------------------------------------------------------- arrays */

static bool map_file(bn_data *data, const char *path, const void **bytes, size_t *size) {
  struct stat facts;
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  bool opened = file >= 0 && fstat(file, &facts) == 0;
  if (opened && !S_ISREG(facts.st_mode)) {
    errno = EINVAL;
    opened = false;
  }
  void *address = MAP_FAILED;
  if (opened && facts.st_size > 0) address = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, file, 0);
  int reason = errno;
  if (file >= 0) close(file);
  if (opened && facts.st_size == 0) {
    tool_error("%s: is empty", path);
    return false;
  }
  if (address == MAP_FAILED) {
    tool_error("%s: cannot open: %s", path, strerror(reason));
    return false;
  }
  bn_mapping *grown = realloc(data->mappings, (data->mapping_count + 1) * sizeof *grown);
  if (!grown) {
    munmap(address, (size_t)facts.st_size);
    return no_memory();
  }
  data->mappings = grown;
  data->mappings[data->mapping_count++] = (bn_mapping){address, (size_t)facts.st_size};
  *bytes = address;
  *size = (size_t)facts.st_size;
  return true;
}

static bool fail_file(const char *path, const norma_error *error) {
  tool_error("%s: %s", path, error->message);
  return false;
}

/* The array of an .npy file that is mapped: in place, or decoded where its elements lie otherwise. */
static bool take_npy(bn_data *data, bn_input *input, const char *path, const void *bytes, size_t size) {
  bn_piece piece = {.kind = PIECE_ARRAY, .path = (char *)(uintptr_t)path};
  norma_error error;
  bool is_plain;
  norma_status status = npy_view(bytes, size, &piece.view, &is_plain, &error);
  if (status == NORMA_OK && !is_plain) {
    status = npy_decode(data->runtime, bytes, size, &piece.decoded, &error);
    if (status == NORMA_OK) piece.view = *norma_value_tensor(piece.decoded);
  }
  return status == NORMA_OK ? add_array(data, input, &piece) : fail_file(path, &error);
}

static bn_input *find_input(bn_data *data, const char *name, size_t length) {
  for (size_t i = 0; i < data->input_count; i++) {
    bn_input *input = &data->inputs[i];
    if (strlen(input->name) == length && memcmp(input->name, name, length) == 0) return input;
  }
  return NULL;
}

static bool take_member(bn_data *data, const npz_member *member, size_t count, const char *path) {
  char place[PATH_SIZE];
  snprintf(place, sizeof place, "%s[%.*s]", path, (int)(member->name_size < 200 ? member->name_size : 200),
           member->name);
  bn_input *input = find_input(data, member->name, member->name_size);
  if (!input && data->input_count == 1 && count == 1) input = &data->inputs[0];
  if (!input && member->name_size == 5 && strncmp(member->name, "arr_", 4) == 0 && member->name[4] >= '0' &&
      (size_t)(member->name[4] - '0') < data->input_count) {
    input = &data->inputs[member->name[4] - '0'];
  }
  if (!input) {
    tool_error("%s: the model has no input of that name", place);
    return false;
  }
  const void *bytes;
  size_t size;
  if (npz_stored(member, &bytes, &size)) return take_npy(data, input, place, bytes, size);
  bn_piece piece = {.kind = PIECE_ARRAY, .path = place};
  norma_error error;
  if (npz_decode(data->runtime, member, &piece.decoded, &error) != NORMA_OK) return fail_file(place, &error);
  piece.view = *norma_value_tensor(piece.decoded);
  return add_array(data, input, &piece);
}

static bool take_npz(bn_data *data, const char *path, const void *bytes, size_t size) {
  npz_member *members;
  size_t count;
  norma_error error;
  if (npz_list(bytes, size, &members, &count, &error) != NORMA_OK) return fail_file(path, &error);
  bool good = true;
  for (size_t i = 0; i < count && good; i++) good = take_member(data, &members[i], count, path);
  free(members);
  return good;
}

/* What is read before its shape is checked. */
static norma_value_info any_shape(const bn_input *input) {
  return (norma_value_info){.name = input->name, .kind = NORMA_VALUE_TENSOR, .type = input->declared.type, .rank = -1};
}

/* A .pb file: one tensor, whose first axis counts samples. */
static bool take_tensor(bn_data *data, bn_input *input, const char *path) {
  bn_piece piece = {.kind = PIECE_ARRAY, .path = (char *)(uintptr_t)path};
  const norma_value_info info = any_shape(input);
  norma_error error;
  if (tensor_file_read(data->runtime, path, &info, &piece.decoded, &error) != NORMA_OK) {
    tool_error("%s", error.message);
    return false;
  }
  piece.view = *norma_value_tensor(piece.decoded);
  return add_array(data, input, &piece);
}

static bool take_file(bn_data *data, bn_input *input, const char *path) {
  const void *bytes;
  size_t size;
  if (!map_file(data, path, &bytes, &size)) return false;
  if (npz_recognise(bytes, size)) return take_npz(data, path, bytes, size);
  if (!input) {
    tool_error("%s: the model has %zu inputs; say which one by NAME=FILE, or give an .npz", path, data->input_count);
    return false;
  }
  const char *dot = strrchr(path, '.');
  if (npy_recognise(bytes, size)) return take_npy(data, input, path, bytes, size);
  if (picture_recognise(bytes, size)) {
    bn_piece piece = {.kind = PIECE_PICTURE, .path = (char *)(uintptr_t)path, .count = 1};
    return add_piece(input, &piece);
  }
  if (dot && strcmp(dot, ".pb") == 0) return take_tensor(data, input, path);
  tool_error("%s: is no .npy, .npz, .pb or picture", path);
  return false;
}

/* ---------------------------------------------------------------------------------------------------------- folders */

static int by_name(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

/* test_data_set_2 stands before test_data_set_10. */
static int by_number(const struct dirent **a, const struct dirent **b) {
  size_t first = strlen((*a)->d_name), second = strlen((*b)->d_name);
  return first != second ? (first < second ? -1 : 1) : by_name(a, b);
}

static int is_set(const struct dirent *entry) {
  return strncmp(entry->d_name, "test_data_set_", 14) == 0;
}

static int is_visible(const struct dirent *entry) {
  return entry->d_name[0] != '.';
}

static bool is_folder(const char *path) {
  struct stat facts;
  return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

static bool exists_in(const char *folder, const char *name) {
  char path[PATH_SIZE];
  struct stat facts;
  return snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path && stat(path, &facts) == 0;
}

static bool take_set(bn_data *data, const char *folder) {
  bn_piece piece = {.kind = PIECE_SET, .path = (char *)(uintptr_t)folder, .count = 1};
  return add_piece(&data->inputs[0], &piece);
}

static bool is_data_file(const char *name) {
  static const char *const extensions[] = {"npy", "npz", "png", "jpg", "jpeg", "pgm", "ppm", "pnm"};
  const char *dot = strrchr(name, '.');
  for (size_t i = 0; dot && i < sizeof extensions / sizeof extensions[0]; i++) {
    if (strcasecmp(dot + 1, extensions[i]) == 0) return true;
  }
  return false;
}

static bool take_folder(bn_data *data, bn_input *input, const char *folder, int depth) {
  struct dirent **entries = NULL;
  if (exists_in(folder, "input_0.pb")) return take_set(data, folder);
  int count = scandir(folder, &entries, is_set, by_number);
  bool sets = count > 0, good = count >= 0;
  if (count == 0) {
    free(entries);
    entries = NULL;
    count = scandir(folder, &entries, is_visible, by_name);
    good = count >= 0;
  }
  if (!good) tool_error("%s: cannot read: %s", folder, strerror(errno));
  for (int i = 0; i < count; i++) {
    char path[PATH_SIZE];
    bool fits = snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name) < (int)sizeof path;
    if (good && fits && sets) {
      good = take_set(data, path);
    } else if (good && fits && is_folder(path)) {
      good = depth < 16 && take_folder(data, input, path, depth + 1);
    } else if (good && fits && is_data_file(path)) {
      good = take_file(data, input, path);
    }
    free(entries[i]);
  }
  free(entries);
  return good;
}

static bool take_argument(bn_data *data, const char *text) {
  bn_input *input = data->input_count == 1 ? &data->inputs[0] : NULL;
  for (const char *equals = strchr(text, '='); equals; equals = strchr(equals + 1, '=')) {
    bn_input *named = find_input(data, text, (size_t)(equals - text));
    if (!named) continue;
    input = named;
    text = equals + 1;
    break;
  }
  int64_t before = 0, after = 0;
  for (size_t i = 0; i < data->input_count; i++) before += data->inputs[i].samples;
  if (!(is_folder(text) ? take_folder(data, input, text, 0) : take_file(data, input, text))) return false;
  for (size_t i = 0; i < data->input_count; i++) after += data->inputs[i].samples;
  if (after == before) tool_error("%s: no data in it: expected .npy, .npz, pictures or test_data_set_N", text);
  return after > before;
}

/* ------------------------------------------------------------------------------------------------------------- open */

static bool read_inputs(bn_data *data, const norma_model *model) {
  size_t count = norma_model_input_count(model);
  data->inputs = calloc(count ? count : 1, sizeof *data->inputs);
  if (!data->inputs) return no_memory();
  for (; data->input_count < count; data->input_count++) {
    norma_value_info info;
    norma_model_input(model, data->input_count, &info);
    bn_input *input = &data->inputs[data->input_count];
    *input = (bn_input){.name = strdup(info.name), .declared = info};
    if (!input->name) return no_memory();
    input->declared.name = input->name;
    memset(input->declared.dim_names, 0, sizeof input->declared.dim_names); /* the model's, which may go */
  }
  return true;
}

static bool uses_sets(const bn_data *data) {
  for (size_t i = 0; data->input_count > 0 && i < data->inputs[0].count; i++) {
    if (data->inputs[0].pieces[i].kind == PIECE_SET) return true;
  }
  return false;
}

static bool check_counts(bn_data *data) {
  bool sets = uses_sets(data);
  for (size_t i = 0; i < data->input_count; i++) {
    bn_input *input = &data->inputs[i];
    if (input->samples == 0 && (input->declared.optional || sets)) continue;
    if (input->samples == 0) {
      tool_error("no data for input '%s'; give --data %s=FILE", input->name, input->name);
      return false;
    }
    if (data->samples == 0) data->samples = input->samples;
    if (input->samples != data->samples) {
      tool_error("input '%s' has %" PRId64 " samples, inputs before it have %" PRId64, input->name, input->samples,
                 data->samples);
      return false;
    }
  }
  for (size_t i = 0; sets && i < data->inputs[0].count; i++) {
    if (data->inputs[0].pieces[i].kind == PIECE_SET) continue;
    tool_error("folders of test_data_set_N and other data cannot be mixed");
    return false;
  }
  if (data->samples == 0) tool_error("the model takes no input, so there is nothing to measure");
  return data->samples > 0;
}

static bool choose_batch(bn_data *data) {
  int64_t fixed = -1;
  if (uses_sets(data)) {
    data->batch = 1;
    return true;
  }
  for (size_t i = 0; i < data->input_count; i++) {
    const bn_input *input = &data->inputs[i];
    if (input->samples > 0 && input->declared.rank > 0 && input->declared.dims[0] > 0) {
      fixed = input->declared.dims[0];
    }
  }
  data->batch_is_fixed = fixed >= 0;
  data->batch = data->batch_is_fixed ? fixed : data->settings->batch ? data->settings->batch : DEFAULT_BATCH;
  if (data->batch_is_fixed && data->settings->batch && data->settings->batch != fixed) {
    tool_error("--batch %d: the model's inputs have a fixed batch of %" PRId64, data->settings->batch, fixed);
    return false;
  }
  return true;
}

bool bn_data_open(bn_data *data, const struct reestimate_settings *settings, norma_runtime *runtime,
                  const norma_model *model) {
  *data = (bn_data){.settings = settings, .runtime = runtime};
  if (!read_inputs(data, model)) return false;
  for (size_t i = 0; i < settings->data.count; i++) {
    if (!take_argument(data, settings->data.items[i])) return false;
  }
  for (size_t i = 1; i < settings->common.argument_count; i++) { /* --data A B C */
    if (!take_argument(data, settings->common.arguments[i])) return false;
  }
  return check_counts(data) && choose_batch(data);
}

void bn_data_close(bn_data *data) {
  for (size_t i = 0; i < data->input_count; i++) {
    bn_input *input = &data->inputs[i];
    for (size_t k = 0; k < input->count; k++) {
      norma_value_destroy(input->pieces[k].decoded);
      free(input->pieces[k].path);
    }
    free(input->pieces);
    free(input->name);
  }
  free(data->inputs);
  for (size_t i = 0; i < data->mapping_count; i++) munmap(data->mappings[i].address, data->mappings[i].bytes);
  free(data->mappings);
  *data = (bn_data){0};
}

/* ------------------------------------------------------------------------------------------------------- preprocess */

/* The axis of channels of one sample's tensor with the batch in front; -1: there is none. */
static int channel_axis(const bn_data *data, int rank, const int64_t *dims, int count) {
  if (rank < 2) return -1;
  if (data->settings->layout == LAYOUT_NHWC) return rank - 1;
  if (data->settings->layout == LAYOUT_NCHW) return 1;
  return dims[1] != count && dims[rank - 1] == count ? rank - 1 : 1;
}

static bool check_list(const bn_data *data, const number_list *list, const char *option, const norma_tensor *tensor) {
  if (list->count <= 1) return true;
  int axis = channel_axis(data, tensor->rank, tensor->dims, list->count);
  if (axis >= 0 && tensor->dims[axis] == list->count) return true;
  tool_error("%s has %d numbers, but the data have %" PRId64 " channels", option, list->count,
             axis >= 0 ? tensor->dims[axis] : (int64_t)1);
  return false;
}

/* (x * scale - mean) / std for `count` elements of `from`, from from_at on, which begin a sample, into `to`. Both may
 * be the same. */
static void preprocess(const bn_data *data, double scale, const norma_tensor *from, int64_t from_at, norma_tensor *to,
                       int64_t to_at, int64_t count) {
  enum { BLOCK = 256 };
  const number_list *mean = &data->settings->mean, *std = &data->settings->std;
  int longest = mean->count > std->count ? mean->count : std->count;
  int axis = channel_axis(data, from->rank, from->dims, longest);
  int64_t inner = 1;
  double numbers[BLOCK];
  for (int i = axis + 1; axis >= 0 && i < from->rank; i++) inner *= from->dims[i];
  for (int64_t first = 0; first < count; first += BLOCK) {
    const int64_t length = count - first < BLOCK ? count - first : BLOCK;
    norma_tensor_get_doubles(from, from_at + first, length, numbers);
    for (int64_t i = 0; i < length; i++) {
      const int64_t c = longest > 1 ? (first + i) / inner % longest : 0;
      double x = numbers[i] * scale;
      if (mean->count > 0) x -= mean->numbers[mean->count == 1 ? 0 : c];
      if (std->count > 0) x /= std->numbers[std->count == 1 ? 0 : c];
      numbers[i] = x;
    }
    norma_tensor_set_doubles(to, to_at + first, length, numbers);
  }
}

/* ------------------------------------------------------------------------------------------------------------- read */

/* The piece that holds a sample. */
static const bn_piece *piece_of(const bn_input *input, int64_t sample) {
  size_t low = 0, high = input->count;
  while (high - low > 1) {
    size_t middle = (low + high) / 2;
    if (input->pieces[middle].first <= sample) {
      low = middle;
    } else {
      high = middle;
    }
  }
  while (low + 1 < input->count && input->pieces[low].count == 0) low++;
  return &input->pieces[low];
}

/* The input as a picture is to fill it: one of a batch. */
static norma_value_info picture_place(const bn_data *data, const bn_input *input) {
  norma_value_info wanted = input->declared;
  if (wanted.rank < 0) {
    wanted.rank = 4;
    for (int i = 0; i < 4; i++) wanted.dims[i] = -1;
  }
  if (wanted.rank == 4) wanted.dims[0] = 1;
  if (wanted.rank >= 3 && data->settings->layout == LAYOUT_NHWC && wanted.dims[wanted.rank - 1] < 0) {
    wanted.dims[wanted.rank - 1] = 3;
  }
  return wanted;
}

/* Decodes a picture as a batch of one; NULL: the error was printed. */
static norma_value *decode_picture(bn_data *data, const bn_input *input, const char *path) {
  file_contents file;
  norma_error error;
  struct picture picture;
  norma_value *value = NULL;
  const norma_value_info wanted = picture_place(data, input);
  if (file_read(data->runtime, path, &file, &error) != NORMA_OK) {
    tool_error("%s", error.message);
    return NULL;
  }
  norma_status status = picture_decode(data->runtime, file.bytes, file.size, &picture, &error);
  if (status == NORMA_OK) {
    status = picture_to_tensor(&picture, data->runtime, &wanted, &value, &error);
    picture_free(&picture);
  }
  file_contents_free(&file);
  if (status != NORMA_OK) fail_file(path, &error);
  return value;
}

/* The same, preprocessed. */
static norma_value *read_picture(bn_data *data, const bn_input *input, const bn_piece *piece) {
  norma_value *value = decode_picture(data, input, piece->path);
  if (!value) return NULL;
  norma_tensor tensor = *norma_value_tensor(value);
  if (tensor.rank == 3 || tensor.rank == 2 || !is_float(tensor.type)) return value;
  if (!check_list(data, &data->settings->mean, "--mean", &tensor) ||
      !check_list(data, &data->settings->std, "--std", &tensor)) {
    norma_value_destroy(value);
    return NULL;
  }
  double scale = 255 * (data->settings->scale != 0 ? data->settings->scale : 1.0 / 255);
  preprocess(data, scale, &tensor, 0, &tensor, 0, norma_tensor_count(&tensor));
  return value;
}

/* The tensor of a batch, made when the shape of its first sample is known. */
static bool prepare_batch(bn_data *data, const bn_input *input, const norma_tensor *sample, int64_t batch,
                          const char *path, norma_value **into) {
  norma_tensor wanted = *sample;
  norma_error error;
  wanted.dims[0] = batch;
  if (!*into) {
    if (norma_value_allocate_tensor(data->runtime, input->declared.type, wanted.rank, wanted.dims, into, &error) ==
        NORMA_OK) {
      return true;
    }
    return fail_file(path, &error);
  }
  norma_tensor given = *norma_value_tensor(*into);
  bool same = given.rank == wanted.rank;
  for (int i = 0; same && i < given.rank; i++) same = given.dims[i] == wanted.dims[i];
  if (same) return true;
  char found[200], before[200];
  wanted.dims[0] = given.dims[0] = 1;
  tool_error("%s: a sample of shape %s stands among samples of shape %s; use --batch 1", path,
             dims_text(wanted.rank, wanted.dims, found, sizeof found),
             dims_text(given.rank, given.dims, before, sizeof before));
  return false;
}

/* Puts sample `index` of `from` at place `at` of a batch. */
static void place_sample(const bn_data *data, const norma_tensor *from, int64_t index, bool converts,
                         const norma_tensor *batch, int64_t at) {
  const int64_t elements = sample_elements(from);
  norma_tensor to = *batch;
  if (converts && is_float(to.type)) {
    const double scale = data->settings->scale != 0 ? data->settings->scale : 1;
    preprocess(data, scale, from, index * elements, &to, at * elements, elements);
    return;
  }
  const size_t bytes = to.size_bytes / (size_t)to.dims[0];
  if (bytes > 0) memcpy((char *)to.data + (size_t)at * bytes, (char *)from->data + (size_t)index * bytes, bytes);
}

/* Puts sample `sample` at place `at` of a batch. */
static bool read_sample(bn_data *data, const bn_input *input, int64_t sample, int64_t at, int64_t batch,
                        norma_value **into) {
  const bn_piece *piece = piece_of(input, sample);
  const bool converts = piece->kind == PIECE_ARRAY && has_preprocessing(data->settings);
  norma_value *picture = piece->kind == PIECE_PICTURE ? read_picture(data, input, piece) : NULL;
  if (piece->kind == PIECE_PICTURE && !picture) return false;
  const norma_tensor *view = picture ? norma_value_tensor(picture) : &piece->view;
  if (converts && (!check_list(data, &data->settings->mean, "--mean", view) ||
                   !check_list(data, &data->settings->std, "--std", view))) {
    return false;
  }
  const bool good = prepare_batch(data, input, view, batch, piece->path, into);
  if (good) {
    place_sample(data, view, picture ? 0 : sample - piece->first, converts, norma_value_tensor(*into), at);
  }
  norma_value_destroy(picture);
  return good;
}

/* The first element from `first` on that is NaN or infinite; -1: there is none. */
static int64_t find_bad(const norma_tensor *tensor, int64_t first, int64_t count, double *element) {
  enum { BLOCK = 256 };
  double numbers[BLOCK];
  if (!is_float(tensor->type)) return -1;
  for (int64_t done = 0; done < count; done += BLOCK) {
    const int64_t length = count - done < BLOCK ? count - done : BLOCK;
    norma_tensor_get_doubles(tensor, first + done, length, numbers);
    for (int64_t i = 0; i < length; i++) {
      *element = numbers[i];
      if (!isfinite(numbers[i])) return done + i;
    }
  }
  return -1;
}

/* Whether a sample may be used. *good: it may; false: it may not, and that was printed. */
static bool check_sample(bn_data *data, const char *path, int64_t index, const norma_tensor *tensor, int64_t at,
                         int64_t elements, bool *good) {
  double element = 0;
  int64_t bad = find_bad(tensor, at * elements, elements, &element);
  *good = bad < 0;
  if (*good || data->settings->skip_bad) return true;
  tool_error("%s: sample %" PRId64 " holds %s at element %" PRId64 "; --skip-bad leaves such samples out", path, index,
             isnan(element) ? "NaN" : "an infinity", bad);
  return false;
}

static bool read_set(bn_data *data, const norma_value_info *info, const char *folder, size_t index,
                     norma_value **into) {
  char path[PATH_SIZE];
  norma_error error;
  snprintf(path, sizeof path, "%s/input_%zu.pb", folder, index);
  if (tensor_file_read(data->runtime, path, info, into, &error) == NORMA_OK) return true;
  tool_error("%s", error.message);
  return false;
}

static bool read_whole_set(bn_data *data, int64_t sample, norma_value **inputs, int64_t *valid) {
  const bn_piece *piece = piece_of(&data->inputs[0], sample);
  *valid = 1;
  for (size_t i = 0; i < data->input_count; i++) {
    const bn_input *input = &data->inputs[i];
    const norma_value_info info = any_shape(input);
    char name[32];
    bool good = true;
    snprintf(name, sizeof name, "input_%zu.pb", i);
    if (input->declared.optional && !exists_in(piece->path, name)) continue;
    if (!read_set(data, &info, piece->path, i, &inputs[i])) return false;
    const norma_tensor *tensor = norma_value_tensor(inputs[i]);
    if (tensor && !check_sample(data, piece->path, 0, tensor, 0, norma_tensor_count(tensor), &good)) return false;
    if (!good && *valid) {
      *valid = 0;
      data->skipped++;
    }
  }
  return true;
}

/* Repeats the last of `valid` samples up to `batch`. */
static void repeat_last(const norma_tensor *tensor, int64_t valid, int64_t batch) {
  const size_t bytes = tensor->size_bytes / (size_t)batch;
  char *data = tensor->data;
  for (int64_t i = valid; i < batch && bytes > 0; i++) {
    memcpy(data + (size_t)i * bytes, data + (size_t)(valid - 1) * bytes, bytes);
  }
}

/* Skipped samples leave a batch that is not fixed shorter. */
static bool shorten(bn_data *data, norma_value **value, int64_t valid) {
  norma_tensor tensor = *norma_value_tensor(*value);
  norma_value *shorter;
  norma_error error;
  if (tensor.dims[0] == valid) return true;
  tensor.size_bytes = tensor.size_bytes / (size_t)tensor.dims[0] * (size_t)valid;
  tensor.dims[0] = valid;
  if (norma_value_create_tensor(data->runtime, &tensor, &shorter, &error) != NORMA_OK) {
    tool_error("%s", error.message);
    return false;
  }
  norma_value_destroy(*value);
  *value = shorter;
  return true;
}

/* One sample of every input, at place *valid; which goes up where the sample may be used. */
static bool read_all_inputs(bn_data *data, int64_t sample, int64_t batch, norma_value **inputs, int64_t *valid) {
  bool good = true;
  for (size_t i = 0; i < data->input_count; i++) {
    const bn_input *input = &data->inputs[i];
    if (input->samples == 0) continue;
    if (!read_sample(data, input, sample, *valid, batch, &inputs[i])) return false;
    const bn_piece *piece = piece_of(input, sample);
    const norma_tensor *tensor = norma_value_tensor(inputs[i]);
    bool this_is_good;
    if (!check_sample(data, piece->path, sample - piece->first, tensor, *valid, norma_tensor_count(tensor) / batch,
                      &this_is_good)) {
      return false;
    }
    good = good && this_is_good;
  }
  *valid += good;
  data->skipped += !good;
  return true;
}

bool bn_data_read(bn_data *data, int64_t first, int64_t count, norma_value **inputs, int64_t *valid) {
  if (uses_sets(data)) return read_whole_set(data, first, inputs, valid);
  const int64_t batch = data->batch_is_fixed ? data->batch : count;
  bool good = true;
  *valid = 0;
  for (int64_t sample = first; good && sample < first + count; sample++) {
    good = read_all_inputs(data, sample, batch, inputs, valid);
  }
  for (size_t i = 0; good && *valid > 0 && i < data->input_count; i++) {
    if (data->inputs[i].samples == 0) continue;
    if (data->batch_is_fixed) {
      repeat_last(norma_value_tensor(inputs[i]), *valid, batch);
    } else {
      good = shorten(data, &inputs[i], *valid);
    }
  }
  return good;
}
