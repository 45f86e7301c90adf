#include "ops/ml/class_labels.h"

norma_status class_labels_read(const node *node, const char *ints, const char *strings, class_labels *labels,
                               norma_error *error) {
  size_t int_count, string_count;
  labels->ints = attribute_ints(node, ints, &int_count);
  labels->strings = attribute_strings(node, strings, &string_count);
  if (int_count > 0 && string_count > 0)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has both %s and %s", ints, strings);
  if (int_count == 0) labels->ints = NULL;
  if (string_count == 0) labels->strings = NULL;
  labels->count = int_count + string_count;
  if (labels->count > INT32_MAX)
    return error_at_node(error, NORMA_ERROR_UNSUPPORTED, node, "%zu classes are too many", labels->count);
  return NORMA_OK;
}

norma_element_type class_labels_type(const class_labels *labels) {
  return labels->strings ? NORMA_STRING : NORMA_INT64;
}

static norma_string label_string(const class_labels *labels, int32_t class) {
  if (class == CLASS_POSITIVE) return (norma_string){"1", 1};
  if (class == CLASS_NEGATIVE) return (norma_string){"0", 1};
  return labels->strings[class];
}

static norma_status write_label_texts(run_context *context, int index, const class_labels *labels, int64_t count,
                                      const int32_t *classes) {
  const shape shape = shape_make(1, &count);
  size_t bytes = 0;
  char *characters;
  norma_tensor *output;
  for (int64_t i = 0; i < count; i++) {
    if (!size_add(bytes, label_string(labels, classes[i]).size, &bytes))
      return run_fail(context, NORMA_ERROR_BUDGET, "the labels are too long");
  }
  TRY(run_allocate_strings(context, index, &shape, bytes, &characters, &output));
  for (int64_t i = 0; i < count; i++) {
    const norma_string label = label_string(labels, classes[i]);
    if (label.size) memcpy(characters, label.data, label.size);
    ((norma_string *)output->data)[i] = (norma_string){characters, label.size};
    characters += label.size;
  }
  return NORMA_OK;
}

norma_status class_labels_write(run_context *context, int index, const class_labels *labels, int64_t count,
                                const int32_t *classes) {
  if (index >= context->output_count || !context->outputs[index]) return NORMA_OK;
  if (labels->strings) return write_label_texts(context, index, labels, count, classes);
  int64_t *result = run_output(context, index)->data;
  for (int64_t i = 0; i < count; i++) {
    if (classes[i] < 0)
      result[i] = classes[i] == CLASS_POSITIVE;
    else
      result[i] = labels->ints[classes[i]];
  }
  return NORMA_OK;
}
