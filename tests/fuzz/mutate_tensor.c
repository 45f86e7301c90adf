#include "tests/fuzz/mutation.h"

#include <string.h>

enum { MOST_BYTES_OF_TENSOR = 1 << 16 };

static size_t bits_of(int32_t type) {
  norma_tensor tensor;
  const int64_t count = 8;
  if (type == ONNX__TENSOR_PROTO__DATA_TYPE__STRING || type < 0) return 0;
  if (norma_tensor_init(&tensor, (norma_element_type)type, 1, &count, NULL) != NORMA_OK) return 0;
  return tensor.size_bytes; /* of eight elements */
}

/* ----------------------------------------------------------------------------------------------------- raw contents */

static void pack_numbers(unsigned char *to, const void *from, size_t count, size_t from_size, size_t size) {
  for (size_t i = 0; i < count; i++) memcpy(to + i * size, (const char *)from + i * from_size, size);
}

/* Contents of typed fields become raw ones. */
static bool make_raw(mutation *mutation, Onnx__TensorProto *tensor) {
  const size_t size = bits_of(tensor->data_type) / 8;
  const void *from = NULL;
  size_t count = 0, from_size = 0;
  if (tensor->has_raw_data) return true;
  if (tensor->n_external_data || size == 0) return false;
  if (tensor->n_float_data) {
    from = tensor->float_data, count = tensor->n_float_data, from_size = sizeof(float);
  } else if (tensor->n_int32_data) {
    from = tensor->int32_data, count = tensor->n_int32_data, from_size = sizeof(int32_t);
  } else if (tensor->n_int64_data) {
    from = tensor->int64_data, count = tensor->n_int64_data, from_size = sizeof(int64_t);
  } else if (tensor->n_double_data) {
    from = tensor->double_data, count = tensor->n_double_data, from_size = sizeof(double);
  } else if (tensor->n_uint64_data) {
    from = tensor->uint64_data, count = tensor->n_uint64_data, from_size = sizeof(uint64_t);
  }
  if (size > from_size && count) return false; /* complex numbers */
  uint8_t *raw = mutation_take(mutation, count * size + 1);
  pack_numbers(raw, from, count, from_size, size);
  tensor->has_raw_data = true;
  tensor->raw_data = (ProtobufCBinaryData){count * size, raw};
  tensor->n_float_data = tensor->n_int32_data = tensor->n_int64_data = 0;
  tensor->n_double_data = tensor->n_uint64_data = 0;
  return true;
}

static int64_t count_elements(const Onnx__TensorProto *tensor) {
  int64_t count = 1;
  for (size_t i = 0; i < tensor->n_dims; i++) {
    if (tensor->dims[i] < 0 || __builtin_mul_overflow(count, tensor->dims[i], &count)) return -1;
  }
  return count;
}

/* Makes the contents as long as shape and type ask for, repeating what there is. Too much stays as it is. */
static void fit_contents(mutation *mutation, Onnx__TensorProto *tensor) {
  const int64_t count = count_elements(tensor);
  const size_t bits = bits_of(tensor->data_type);
  if (count < 0 || bits == 0 || (uint64_t)count > MOST_BYTES_OF_TENSOR) return;
  const size_t bytes = ((size_t)count * bits + 7) / 8, old = tensor->raw_data.len;
  uint8_t *raw = mutation_take(mutation, bytes + 1);
  for (size_t i = 0; i < bytes && old > 0; i++) raw[i] = tensor->raw_data.data[i % old];
  tensor->raw_data = (ProtobufCBinaryData){bytes, raw};
}

/* --------------------------------------------------------------------------------------------------------- elements */

static void write_element(random_source *random, int32_t type, uint8_t *at, size_t size) {
  const double real = random_hostile_double(random);
  const float single = (float)real;
  int64_t whole = random_one_in(random, 2) ? random_hostile_int(random) : (int64_t)random_below(random, 9) - 3;
  if (type == ONNX__TENSOR_PROTO__DATA_TYPE__BOOL) whole &= 1;
  if (type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT) {
    memcpy(at, &single, size);
  } else if (type == ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE) {
    memcpy(at, &real, size);
  } else if (type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16 || type == ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16) {
    static const uint16_t halves[] = {0,      0x8000, 0x7C00, 0xFC00, 0x7E00, 0x7BFF,
                                      0x0001, 0x3C00, 0x7F80, 0xFF80, 0x7FC0};
    memcpy(at, &halves[random_below(random, sizeof halves / sizeof *halves)], size);
  } else {
    memcpy(at, &whole, size < sizeof whole ? size : sizeof whole);
  }
}

static void mutate_elements(mutation *mutation, Onnx__TensorProto *tensor) {
  random_source *random = mutation->random;
  const size_t bits = bits_of(tensor->data_type), size = bits < 8 ? 1 : bits / 8;
  const size_t count = tensor->raw_data.len / size;
  uint8_t *raw = mutation_take(mutation, tensor->raw_data.len + 1);
  if (count == 0) return;
  memcpy(raw, tensor->raw_data.data, tensor->raw_data.len);
  tensor->raw_data.data = raw;
  const uint64_t kind = random_below(random, 8);
  for (uint64_t changes = 1 + random_below(random, 4); changes > 0; changes--) {
    const size_t at = random_below(random, count), other = random_below(random, count);
    if (kind == 0) {
      memcpy(raw + at * size, raw + other * size, size);
    } else if (kind == 1) {
      raw[random_below(random, tensor->raw_data.len)] ^= (uint8_t)(1u << random_below(random, 8));
    } else {
      write_element(random, tensor->data_type, raw + at * size, size);
    }
  }
  for (size_t i = size; kind == 7 && i + size <= tensor->raw_data.len; i += size) memcpy(raw + i, raw, size);
}

/* Bytes that something reads as a file: numbers of its header, and its length. */
static void mutate_file(mutation *mutation, Onnx__TensorProto *tensor) {
  random_source *random = mutation->random;
  size_t length = tensor->raw_data.len;
  uint8_t *raw = mutation_take(mutation, length + 1);
  if (length == 0) return;
  memcpy(raw, tensor->raw_data.data, length);
  for (uint64_t changes = 1 + random_below(random, 6); changes > 0; changes--) {
    const uint64_t reach = random_one_in(random, 3) || length < 64 ? length : 64;
    const size_t at = random_below(random, reach), size = (size_t)1 << random_below(random, 3);
    const uint64_t number = (uint64_t)random_hostile_int(random);
    const bool swapped = random_one_in(random, 2);
    for (size_t i = 0; i < size && at + i < length; i++) {
      raw[at + i] = (uint8_t)(number >> 8 * (swapped ? size - 1 - i : i));
    }
    if (random_one_in(random, 3)) raw[random_below(random, length)] ^= (uint8_t)(1u << random_below(random, 8));
  }
  if (random_one_in(random, 6)) length = random_below(random, length);
  tensor->raw_data = (ProtobufCBinaryData){length, raw};
  if (tensor->n_dims != 1) return;
  tensor->dims = mutation_take(mutation, sizeof *tensor->dims);
  tensor->dims[0] = (int64_t)length;
}

static void mutate_strings(mutation *mutation, Onnx__TensorProto *tensor) {
  random_source *random = mutation->random;
  if (tensor->n_string_data == 0) return;
  ProtobufCBinaryData *strings = mutation_take(mutation, tensor->n_string_data * sizeof *strings);
  memcpy(strings, tensor->string_data, tensor->n_string_data * sizeof *strings);
  for (uint64_t changes = 1 + random_below(random, 3); changes > 0; changes--) {
    char *text = random_text(mutation);
    size_t size = strlen(text);
    if (size && random_one_in(random, 8)) text[random_below(random, size)] = '\0';
    strings[random_below(random, tensor->n_string_data)] = (ProtobufCBinaryData){size, (uint8_t *)text};
  }
  tensor->string_data = strings;
}

/* ----------------------------------------------------------------------------------------------------------- shapes */

static void mutate_dims(mutation *mutation, Onnx__TensorProto *tensor) {
  static const int64_t sizes[] = {0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 16, 33};
  random_source *random = mutation->random;
  size_t rank = random_one_in(random, 2) ? tensor->n_dims : random_below(random, random_one_in(random, 20) ? 60 : 6);
  int64_t *dims = mutation_take(mutation, (rank + 1) * sizeof *dims);
  for (size_t i = 0; i < rank; i++) dims[i] = i < tensor->n_dims ? tensor->dims[i] : 1;
  for (uint64_t changes = random_below(random, 3); rank > 0 && changes > 0; changes--) {
    dims[random_below(random, rank)] = sizes[random_below(random, sizeof sizes / sizeof *sizes)];
  }
  if (rank > 1 && random_one_in(random, 4)) {
    const size_t at = random_below(random, rank - 1);
    const int64_t moved = dims[at];
    dims[at] = dims[at + 1];
    dims[at + 1] = moved;
  }
  if (rank > 1 && random_one_in(random, 4)) { /* no elements, whatever the other sizes are */
    for (uint64_t changes = 1 + random_below(random, rank); changes > 0; changes--) {
      dims[random_below(random, rank)] = random_hostile_int(random) & INT64_MAX;
    }
    dims[random_below(random, rank)] = 0;
  }
  tensor->dims = dims;
  tensor->n_dims = rank;
}

static void fit_strings(mutation *mutation, Onnx__TensorProto *tensor) {
  const int64_t count = count_elements(tensor);
  if (count < 0 || count > MOST_BYTES_OF_TENSOR / 16) return;
  ProtobufCBinaryData *strings = mutation_take(mutation, ((size_t)count + 1) * sizeof *strings);
  for (size_t i = 0; i < (size_t)count && tensor->n_string_data; i++) {
    strings[i] = tensor->string_data[i % tensor->n_string_data];
  }
  if (tensor->n_string_data == 0 && count > 0) return;
  tensor->string_data = strings;
  tensor->n_string_data = (size_t)count;
}

void mutate_tensor(mutation *mutation, Onnx__TensorProto *tensor) {
  random_source *random = mutation->random;
  const uint64_t kind = random_below(random, 10);
  if (tensor->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__STRING) {
    if (kind < 3) mutate_dims(mutation, tensor), fit_strings(mutation, tensor);
    mutate_strings(mutation, tensor);
    return;
  }
  if (!make_raw(mutation, tensor)) return;
  const bool is_file = tensor->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__UINT8 && tensor->n_dims == 1;
  if (is_file && kind < 7) {
    mutate_file(mutation, tensor);
  } else if (kind < 3) {
    mutate_dims(mutation, tensor);
    fit_contents(mutation, tensor);
  } else if (kind == 3) {
    tensor->data_type = (int32_t)(1 + random_below(random, 24));
    fit_contents(mutation, tensor);
  } else {
    mutate_elements(mutation, tensor);
  }
}
