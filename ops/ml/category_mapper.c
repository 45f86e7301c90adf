/*
 * CategoryMapper 1 (ai.onnx.ml): strings to integers, or integers to strings, whichever X is not.
 *
 * cats_strings[i] and cats_int64s[i] belong together; of equal ones the last counts. What is not among them becomes
 * default_int64 (-1) or default_string ("_Unused").
 */
#include "ops/ml/label_mapping.h"

static norma_status category_mapper_read(const node *node, void *opaque, norma_error *error) {
  label_mapping *mappings = opaque;
  size_t ints, strings;
  const int64_t *int_list = attribute_ints(node, "cats_int64s", &ints);
  const norma_string *string_list = attribute_strings(node, "cats_strings", &strings);
  const attribute *unknown = node_attribute(node, "default_string");
  if (ints != strings)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %zu cats_int64s and %zu cats_strings", ints,
                         strings);
  mappings[0].values = (label_list){NORMA_INT64, ints, int_list};
  mappings[1].values = (label_list){NORMA_STRING, strings, string_list};
  mappings[0].otherwise.int64 = attribute_int(node, "default_int64", -1);
  mappings[1].otherwise.string = unknown ? unknown->s : (norma_string){"_Unused", 7};
  TRY(label_mapping_make(node, &mappings[0], &mappings[1].values, KEY_LAST, error));
  return label_mapping_make(node, &mappings[1], &mappings[0].values, KEY_LAST, error);
}

static const operator_attribute category_mapper_attributes[] = {
    {"cats_int64s", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"cats_strings", ATTRIBUTE_STRINGS, 1, OPERATOR_LATEST, false},
    {"default_int64", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"default_string", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {0},
};

#define TYPES_CATEGORIES (TYPE_BIT(NORMA_STRING) | TYPE_BIT(NORMA_INT64))

const operator_descriptor operators_category_mapper[] = {
    {
        .domain = "ai.onnx.ml",
        .name = "CategoryMapper",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_CATEGORIES, INPUT(0), 0}, {TYPES_CATEGORIES, 0, OUTPUT(0)}},
        .attributes = category_mapper_attributes,
        .state_size = 2 * sizeof(label_mapping),
        .read = category_mapper_read,
        .infer = label_mapping_infer,
        .facts = {.dimension = fact_dimension_same},
        .compute = label_mapping_compute,
    },
    {0},
};
