/* C as text: what the writers of compiled models share. */
#ifndef ENGINE_COMPILE_SOURCE_TEXT_H
#define ENGINE_COMPILE_SOURCE_TEXT_H

#include "engine/base/tensor.h"

/* Where text goes. Once something cannot be written nothing more is. */
typedef struct source_text {
  norma_write write;
  void *context;
  bool failed;
} source_text;

void source_put(source_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A string literal; what is not printable ASCII as octal escapes. */
void source_put_string(source_text *text, const char *bytes, size_t count);

/* The elements of an array of uint32_t, little end first, the last one padded with zeros. */
void source_put_words(source_text *text, const void *data, size_t bytes);

/* A float with all its bits; infinities too, and one NaN for all. */
void source_put_float(source_text *text, float number);

/* An initializer of a value_info, and of a norma_tensor but for its data. */
void source_put_info(source_text *text, const value_info *info);
void source_put_tensor(source_text *text, const norma_tensor *tensor);

/* The C type that holds elements: "float", "uint16_t" for halves, "uint8_t" for those below a byte. */
const char *source_element_type(norma_element_type type);

#endif
