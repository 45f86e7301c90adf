#include "engine/compile/source_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void put_bytes(source_text *text, const char *bytes, size_t count) {
  if (!text->failed && count > 0) text->failed = !text->write(text->context, bytes, count);
}

void source_put(source_text *text, const char *format, ...) {
  char line[2048];
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (length < 0 || (size_t)length >= sizeof line) {
    text->failed = true;
  } else {
    put_bytes(text, line, (size_t)length);
  }
}

void source_put_string(source_text *text, const char *bytes, size_t count) {
  put_bytes(text, "\"", 1);
  for (size_t i = 0; i < count; i++) {
    const unsigned char c = (unsigned char)bytes[i];
    /* '?' too: two of them begin a trigraph */
    if (c < 0x20 || c >= 0x7F || c == '"' || c == '\\' || c == '?') {
      source_put(text, "\\%03o", c);
    } else {
      put_bytes(text, &bytes[i], 1);
    }
  }
  put_bytes(text, "\"", 1);
}

void source_put_words(source_text *text, const void *data, size_t bytes) {
  const unsigned char *from = data;
  for (size_t i = 0; i < bytes; i += 4) {
    uint32_t word = 0;
    for (size_t j = 0; j < 4 && i + j < bytes; j++) word |= (uint32_t)from[i + j] << 8 * j;
    source_put(text, i % 40 == 36 ? "0x%" PRIx32 ",\n" : "0x%" PRIx32 ",", word);
  }
}

void source_put_float(source_text *text, float number) {
  if (isnan(number)) {
    source_put(text, "NAN");
  } else if (isinf(number)) {
    source_put(text, number < 0 ? "-INFINITY" : "INFINITY");
  } else {
    source_put(text, "%af", (double)number);
  }
}

static void put_dims(source_text *text, int rank, const int64_t *dims) {
  source_put(text, ".rank = %d, .dims = {", rank);
  for (int i = 0; i < rank; i++) source_put(text, i == 0 ? "%" PRId64 : ", %" PRId64, dims[i]);
  source_put(text, rank > 0 ? "}" : "0}");
}

void source_put_info(source_text *text, const value_info *info) {
  source_put(text, "{.kind = %d, .type = %d, .shape = {", (int)info->kind, (int)info->type);
  put_dims(text, info->shape.rank, info->shape.dims);
  source_put(text, "}}");
}

void source_put_tensor(source_text *text, const norma_tensor *tensor) {
  source_put(text, ".type = %d, ", (int)tensor->type);
  put_dims(text, tensor->rank, tensor->dims);
  source_put(text, ", .size_bytes = %zu", tensor->size_bytes);
}

const char *source_element_type(norma_element_type type) {
  switch (type) {
  case NORMA_FLOAT:
  case NORMA_COMPLEX64:
    return "float";
  case NORMA_DOUBLE:
  case NORMA_COMPLEX128:
    return "double";
  case NORMA_INT8:
    return "int8_t";
  case NORMA_INT16:
    return "int16_t";
  case NORMA_INT32:
    return "int32_t";
  case NORMA_INT64:
    return "int64_t";
  case NORMA_UINT16:
  case NORMA_FLOAT16:
  case NORMA_BFLOAT16:
    return "uint16_t";
  case NORMA_UINT32:
    return "uint32_t";
  case NORMA_UINT64:
    return "uint64_t";
  default:
    return "uint8_t";
  }
}
