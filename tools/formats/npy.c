#include "tools/formats/npy.h"

#include "tools/formats/file_error.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What the header says. */
typedef struct npy_header {
  char kind;        /* NumPy's letter: b i u f c U S V */
  size_t item_size; /* bytes */
  bool swapped;     /* big-endian */
  bool fortran_order;
  int rank;
  int64_t dims[NORMA_MAX_RANK];
  size_t data_offset;
} npy_header;

static const char magic[] = "\x93NUMPY";

bool npy_recognise(const void *bytes, size_t size) {
  return size >= 6 && memcmp(bytes, magic, 6) == 0;
}

/* ----------------------------------------------------------------------------------------------------------- header */

/* The header's text is a Python dictionary of three known keys; this reads that and nothing more. */
typedef struct cursor {
  const char *at, *end;
} cursor;

static void skip_space(cursor *text) {
  while (text->at < text->end && isspace((unsigned char)*text->at)) text->at++;
}

static bool take(cursor *text, char expected) {
  skip_space(text);
  if (text->at == text->end || *text->at != expected) return false;
  text->at++;
  return true;
}

static bool take_word(cursor *text, const char *word) {
  size_t length = strlen(word);
  skip_space(text);
  if ((size_t)(text->end - text->at) < length || memcmp(text->at, word, length) != 0) return false;
  text->at += length;
  return true;
}

static bool take_string(cursor *text, char *result, size_t size) {
  skip_space(text);
  if (text->at == text->end || (*text->at != '\'' && *text->at != '"')) return false;
  char quote = *text->at++;
  size_t length = 0;
  while (text->at < text->end && *text->at != quote) {
    if (length + 1 < size) result[length++] = *text->at;
    text->at++;
  }
  result[length] = '\0';
  return take(text, quote);
}

static bool take_dimension(cursor *text, int64_t *dim) {
  skip_space(text);
  if (text->at == text->end || !isdigit((unsigned char)*text->at)) return false;
  *dim = 0;
  for (; text->at < text->end && isdigit((unsigned char)*text->at); text->at++) {
    if (*dim > (INT64_MAX - 9) / 10) return false;
    *dim = *dim * 10 + (*text->at - '0');
  }
  if (text->at < text->end && *text->at == 'L') text->at++; /* Python 2 wrote long integers so */
  return true;
}

static bool take_shape(cursor *text, npy_header *result) {
  if (!take(text, '(')) return false;
  result->rank = 0;
  while (!take(text, ')')) {
    if (result->rank == NORMA_MAX_RANK || !take_dimension(text, &result->dims[result->rank])) return false;
    result->rank++;
    if (!take(text, ',')) return take(text, ')');
  }
  return true;
}

static bool take_dictionary(cursor *text, npy_header *header, char *type, size_t type_size, bool *plain_type) {
  int seen = 0;
  if (!take(text, '{')) return false;
  while (!take(text, '}')) {
    char key[32];
    if (!take_string(text, key, sizeof key) || !take(text, ':')) return false;
    if (strcmp(key, "descr") == 0) {
      skip_space(text);
      *plain_type = text->at < text->end && *text->at != '[' && *text->at != '(';
      if (!*plain_type) return true; /* a record: refused whatever follows */
      if (!take_string(text, type, type_size)) return false;
      seen |= 1;
    } else if (strcmp(key, "fortran_order") == 0) {
      header->fortran_order = take_word(text, "True");
      if (!header->fortran_order && !take_word(text, "False")) return false;
      seen |= 2;
    } else if (strcmp(key, "shape") == 0) {
      if (!take_shape(text, header)) return false;
      seen |= 4;
    } else {
      return false;
    }
    if (!take(text, ',')) {
      if (!take(text, '}')) return false;
      break;
    }
  }
  return seen == 7;
}

static norma_status read_header(const unsigned char *bytes, size_t size, npy_header *header, norma_error *error) {
  if (size < 10 || !npy_recognise(bytes, size)) {
    return set_error(error, NORMA_ERROR_FORMAT, "not a .npy file: it does not begin with \\x93NUMPY");
  }
  int version = bytes[6];
  if (version < 1 || version > 3) {
    return set_error(error, NORMA_ERROR_UNSUPPORTED, ".npy format version %d is not known; versions 1 to 3 are",
                     version);
  }
  size_t start = version == 1 ? 10 : 12;
  size_t length = (size_t)bytes[8] | (size_t)bytes[9] << 8;
  if (version > 1 && size >= 12) length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
  if (size < start || length > size - start) {
    return set_error(error, NORMA_ERROR_FORMAT, "truncated .npy file: the header ends after the file");
  }
  char type[64] = "";
  bool plain_type = true;
  cursor text = {(const char *)bytes + start, (const char *)bytes + start + length};
  if (!take_dictionary(&text, header, type, sizeof type, &plain_type)) {
    return set_error(error, NORMA_ERROR_FORMAT,
                     "the header of this .npy file is not understood (expected descr, fortran_order and a shape of at "
                     "most %d dimensions)",
                     NORMA_MAX_RANK);
  }
  if (!plain_type)
    return set_error(error, NORMA_ERROR_UNSUPPORTED, "the .npy file holds records; expected plain numbers or text");
  const char *code = type;
  if (*code == '<' || *code == '>' || *code == '|' || *code == '=') header->swapped = *code++ == '>';
  header->kind = *code;
  char *end = type;
  if (isdigit((unsigned char)code[0]) == 0 && isdigit((unsigned char)code[1])) {
    header->item_size = (size_t)strtoul(code + 1, &end, 10);
  }
  if (header->kind == 'O') {
    return set_error(
        error, NORMA_ERROR_UNSUPPORTED,
        "the .npy file holds pickled Python objects; save text with dtype=str and numbers with a numeric dtype");
  }
  if (header->kind == 'V') {
    return set_error(
        error, NORMA_ERROR_UNSUPPORTED,
        "the .npy file has the type '%s', which is how NumPy stores bfloat16 and other types that it does not know, "
        "without saying which; use a .pb file (TensorProto) for them",
        type);
  }
  if (*end != '\0' || end == type) {
    return set_error(error, NORMA_ERROR_UNSUPPORTED, "the .npy file has the type '%s', which is no ONNX type", type);
  }
  header->data_offset = start + length;
  return NORMA_OK;
}

static norma_element_type element_type_of(char kind, size_t item_size) {
  static const struct {
    char kind;
    unsigned char size;
    norma_element_type type;
  } types[] = {{'b', 1, NORMA_BOOL},      {'i', 1, NORMA_INT8},       {'i', 2, NORMA_INT16},  {'i', 4, NORMA_INT32},
               {'i', 8, NORMA_INT64},     {'u', 1, NORMA_UINT8},      {'u', 2, NORMA_UINT16}, {'u', 4, NORMA_UINT32},
               {'u', 8, NORMA_UINT64},    {'f', 2, NORMA_FLOAT16},    {'f', 4, NORMA_FLOAT},  {'f', 8, NORMA_DOUBLE},
               {'c', 8, NORMA_COMPLEX64}, {'c', 16, NORMA_COMPLEX128}};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    if (types[i].kind == kind && types[i].size == item_size) return types[i].type;
  }
  return kind == 'U' || kind == 'S' ? NORMA_STRING : NORMA_UNDEFINED;
}

/* ------------------------------------------------------------------------------------------------------------- data */

/* Walks over the elements in row-major order and gives each one's place in the file. */
typedef struct element_walk {
  const npy_header *header;
  int64_t position[NORMA_MAX_RANK];
  int64_t stride[NORMA_MAX_RANK]; /* in the file, in elements */
  int64_t place;
} element_walk;

static void walk_start(element_walk *walk, const npy_header *header) {
  *walk = (element_walk){.header = header};
  int64_t product = 1;
  for (int i = 0; i < header->rank; i++) {
    int axis = header->fortran_order ? i : header->rank - 1 - i;
    walk->stride[axis] = product;
    product *= header->dims[axis];
  }
}

static void walk_next(element_walk *walk) {
  for (int axis = walk->header->rank - 1; axis >= 0; axis--) {
    walk->place += walk->stride[axis];
    if (++walk->position[axis] < walk->header->dims[axis]) return;
    walk->place -= walk->stride[axis] * walk->position[axis];
    walk->position[axis] = 0;
  }
}

static void copy_swapped(unsigned char *to, const unsigned char *from, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) to[i] = from[bytes - 1 - i];
}

static void copy_numbers(const npy_header *header, const unsigned char *from, const norma_tensor *tensor) {
  size_t item = header->item_size;
  size_t unit = header->kind == 'c' ? item / 2 : item; /* what a change of byte order turns round */
  unsigned char *to = tensor->data;
  if (!header->fortran_order && !header->swapped) {
    memcpy(to, from, tensor->size_bytes);
  } else {
    element_walk walk;
    walk_start(&walk, header);
    for (size_t done = 0; done < tensor->size_bytes; done += item) {
      const unsigned char *source = from + (size_t)walk.place * item;
      if (header->swapped) {
        for (size_t i = 0; i < item; i += unit) copy_swapped(to + done + i, source + i, unit);
      } else {
        memcpy(to + done, source, item);
      }
      walk_next(&walk);
    }
  }
  if (tensor->type == NORMA_BOOL) {
    for (size_t i = 0; i < tensor->size_bytes; i++) to[i] = to[i] != 0;
  }
}

static uint32_t read_character(const npy_header *header, const unsigned char *bytes) {
  return header->swapped ? (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3]
                         : (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[1] << 8 | bytes[0];
}

/* One item as UTF-8 into `text` (NULL: only the length); -1 where a character does not exist. */
static ptrdiff_t read_text(const npy_header *header, const unsigned char *item, char *text) {
  size_t unit = header->kind == 'U' ? 4 : 1, count = header->item_size / unit, length = 0;
  while (count > 0) { /* the padding */
    uint32_t last = unit == 4 ? read_character(header, item + (count - 1) * 4) : item[count - 1];
    if (last != 0) break;
    count--;
  }
  for (size_t i = 0; i < count; i++) {
    unsigned char bytes[4];
    size_t bytes_used = 1;
    if (unit == 1) {
      bytes[0] = item[i];
    } else {
      uint32_t c = read_character(header, item + i * 4);
      if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return -1;
      bytes_used = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
      for (size_t b = bytes_used; b-- > 1; c >>= 6) bytes[b] = (unsigned char)(0x80 | (c & 0x3F));
      bytes[0] = (unsigned char)(bytes_used == 1 ? c : ((0xF00u >> bytes_used) & 0xFF) | c);
    }
    if (text) memcpy(text + length, bytes, bytes_used);
    length += bytes_used;
  }
  return (ptrdiff_t)length;
}

/* The bytes of all text together; -1 where it is no Unicode. */
static ptrdiff_t measure_text(const npy_header *header, const unsigned char *from, int64_t count) {
  ptrdiff_t bytes = 0;
  for (int64_t i = 0; i < count; i++) {
    ptrdiff_t length = read_text(header, from + (size_t)i * header->item_size, NULL);
    if (length < 0) return -1;
    bytes += length;
  }
  return bytes;
}

/* Text stands in `characters` while the value that has copies of its own is made of it. */
static norma_status fill_strings(norma_runtime *runtime, const npy_header *header, const unsigned char *from,
                                 const norma_tensor *strings, char *characters, norma_value **value,
                                 norma_error *error) {
  element_walk walk;
  norma_string *elements = strings->data;
  const int64_t count = norma_tensor_count(strings);
  walk_start(&walk, header);
  for (int64_t i = 0; i < count; i++) {
    size_t length = (size_t)read_text(header, from + (size_t)walk.place * header->item_size, characters);
    elements[i] = (norma_string){length > 0 ? characters : NULL, length};
    characters += length;
    walk_next(&walk);
  }
  return norma_value_create_tensor(runtime, strings, value, error);
}

static norma_status decode_strings(norma_runtime *runtime, const npy_header *header, const unsigned char *from,
                                   norma_value **value, norma_error *error) {
  norma_value *elements;
  TRY(norma_value_allocate_tensor(runtime, NORMA_STRING, header->rank, header->dims, &elements, error));
  const norma_tensor *strings = norma_value_tensor(elements);
  const ptrdiff_t bytes = measure_text(header, from, norma_tensor_count(strings));
  char *characters = bytes < 0 ? NULL : malloc((size_t)bytes + 1);
  norma_status status;
  if (bytes < 0) {
    status = set_error(error, NORMA_ERROR_FORMAT, "the .npy file holds text that is no Unicode");
  } else if (!characters) {
    status = set_error(error, NORMA_ERROR_OUT_OF_MEMORY, "out of memory for the text of the .npy file");
  } else {
    status = fill_strings(runtime, header, from, strings, characters, value, error);
  }
  norma_value_destroy(elements);
  free(characters);
  return status;
}

/* Header, element type, and the bytes that the elements take in the file, which are there. */
static norma_status read_description(const void *bytes, size_t size, npy_header *header, norma_tensor *tensor,
                                     norma_error *error) {
  TRY(read_header(bytes, size, header, error));
  const norma_element_type type = element_type_of(header->kind, header->item_size);
  if (type == NORMA_UNDEFINED || (header->kind == 'U' && header->item_size > SIZE_MAX / 4)) {
    return set_error(error, NORMA_ERROR_UNSUPPORTED, "the .npy file has the type '%c%zu', which is no ONNX type",
                     header->kind, header->item_size);
  }
  if (header->kind == 'U') header->item_size *= 4;
  size_t file_bytes;
  if (norma_tensor_init(tensor, type, header->rank, header->dims, NULL) != NORMA_OK ||
      __builtin_mul_overflow((size_t)norma_tensor_count(tensor), header->item_size, &file_bytes)) {
    return set_error(error, NORMA_ERROR_FORMAT, "the shape in this .npy file is too large");
  }
  if (file_bytes > size - header->data_offset) {
    return set_error(error, NORMA_ERROR_FORMAT, "truncated .npy file: %zu bytes of data, expected %zu",
                     size - header->data_offset, file_bytes);
  }
  return NORMA_OK;
}

norma_status npy_decode(norma_runtime *runtime, const void *bytes, size_t size, norma_value **value,
                        norma_error *error) {
  npy_header header = {0};
  norma_tensor tensor;
  *value = NULL;
  TRY(read_description(bytes, size, &header, &tensor, error));
  const unsigned char *data = (const unsigned char *)bytes + header.data_offset;
  if (tensor.type == NORMA_STRING) return decode_strings(runtime, &header, data, value, error);
  TRY(norma_value_allocate_tensor(runtime, tensor.type, header.rank, header.dims, value, error));
  if (tensor.size_bytes > 0) copy_numbers(&header, data, norma_value_tensor(*value));
  return NORMA_OK;
}

norma_status npy_view(const void *bytes, size_t size, norma_tensor *view, bool *is_plain, norma_error *error) {
  npy_header header = {0};
  TRY(read_description(bytes, size, &header, view, error));
  const unsigned char *data = (const unsigned char *)bytes + header.data_offset;
  *is_plain = !header.fortran_order && !header.swapped && view->type != NORMA_STRING && view->type != NORMA_BOOL;
  if (*is_plain) view->data = (void *)(uintptr_t)data;
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- writing */

/* The next character of UTF-8 text; -1 where it is not valid. */
static int64_t next_character(const norma_string *string, size_t *at) {
  const unsigned char *text = (const unsigned char *)string->data + *at;
  size_t left = string->size - *at;
  size_t length = text[0] < 0x80 ? 1 : text[0] >= 0xF0 ? 4 : text[0] >= 0xE0 ? 3 : 2;
  if ((text[0] >= 0x80 && text[0] < 0xC2) || text[0] > 0xF4 || length > left) return -1;
  int64_t c = length == 1 ? text[0] : text[0] & (0xFF >> (length + 1));
  for (size_t i = 1; i < length; i++) {
    if ((text[i] & 0xC0) != 0x80) return -1;
    c = c << 6 | (text[i] & 0x3F);
  }
  static const int64_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (c < least[length] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return -1;
  *at += length;
  return c;
}

/* The number of characters, -1 where a U type would not give the text back. */
static int64_t text_length(const norma_string *string) {
  int64_t count = 0, last = 1;
  for (size_t at = 0; at < string->size; count++) {
    last = next_character(string, &at);
    if (last < 0) return -1;
  }
  return last == 0 ? -1 : count;
}

static const char *numpy_type(norma_element_type type) {
  switch (type) {
  case NORMA_FLOAT:
    return "<f4";
  case NORMA_UINT8:
    return "|u1";
  case NORMA_INT8:
    return "|i1";
  case NORMA_UINT16:
    return "<u2";
  case NORMA_INT16:
    return "<i2";
  case NORMA_INT32:
    return "<i4";
  case NORMA_INT64:
    return "<i8";
  case NORMA_BOOL:
    return "|b1";
  case NORMA_FLOAT16:
    return "<f2";
  case NORMA_DOUBLE:
    return "<f8";
  case NORMA_UINT32:
    return "<u4";
  case NORMA_UINT64:
    return "<u8";
  case NORMA_COMPLEX64:
    return "<c8";
  case NORMA_COMPLEX128:
    return "<c16";
  default:
    return NULL;
  }
}

/* The characters that each item of a string array takes; -1 where .npy cannot hold them. */
static int64_t longest_text(const norma_tensor *tensor) {
  const norma_string *strings = tensor->data;
  int64_t longest = 1, count = norma_tensor_count(tensor);
  for (int64_t i = 0; i < count; i++) {
    int64_t length = text_length(&strings[i]);
    if (length < 0) return -1;
    if (length > longest) longest = length;
  }
  return longest;
}

bool npy_can_hold(const norma_tensor *tensor) {
  return tensor->type == NORMA_STRING ? longest_text(tensor) >= 0 : numpy_type(tensor->type) != NULL;
}

static void write_text(FILE *file, const norma_string *string, int64_t width) {
  int64_t written = 0;
  for (size_t at = 0; at < string->size; written++) {
    uint32_t c = (uint32_t)next_character(string, &at);
    for (int i = 0; i < 4; i++) fputc((int)(c >> (8 * i) & 0xFF), file);
  }
  for (; written < width; written++) fwrite("\0\0\0", 1, 4, file);
}

void npy_encode(FILE *file, const norma_tensor *tensor) {
  char type[32], header[512];
  int64_t width = tensor->type == NORMA_STRING ? longest_text(tensor) : 0;
  if (width > 0) {
    snprintf(type, sizeof type, "<U%" PRId64, width);
  } else {
    snprintf(type, sizeof type, "%s", numpy_type(tensor->type));
  }
  size_t used = (size_t)snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (", type);
  for (int i = 0; i < tensor->rank; i++) {
    used += (size_t)snprintf(header + used, sizeof header - used, i == 0 ? "%" PRId64 "," : " %" PRId64 ",",
                             tensor->dims[i]);
  }
  if (tensor->rank > 1) used--; /* the comma after the last; a tuple of one keeps it */
  used += (size_t)snprintf(header + used, sizeof header - used, "), }");
  while ((10 + used + 1) % 64 != 0) header[used++] = ' ';
  header[used++] = '\n';
  fwrite(magic, 1, 6, file);
  fputc(1, file);
  fputc(0, file);
  fputc((int)(used & 0xFF), file);
  fputc((int)(used >> 8), file);
  fwrite(header, 1, used, file);
  if (width > 0) {
    const norma_string *strings = tensor->data;
    int64_t count = norma_tensor_count(tensor);
    for (int64_t i = 0; i < count; i++) write_text(file, &strings[i], width);
  } else if (tensor->size_bytes > 0) {
    fwrite(tensor->data, 1, tensor->size_bytes, file);
  }
}
