/*
 * LabelEncoder 1, 2, 4 (ai.onnx.ml): each element of X is replaced by the value that a map has for it.
 *
 * 1  between the strings of classes_strings and their indices, whichever X is not; of equal strings the last counts.
 * 2  from keys_* to values_*, each int64, float or string. Of equal keys the first counts, and float keys are compared
 *    by their bits, as the definition says.
 * 4  keys_tensor and values_tensor: int32, int16 and double too. Of equal keys the last counts; float keys are equal
 *    where the numbers are, and every NaN is equal to every other.
 *
 * What is no key becomes the default of the values' type: default_int64 -1, default_float -0, default_string "_Unused",
 * or default_tensor, of one element.
 */
#include "ops/ml/label_mapping.h"

static const label_names key_names = {"keys_int64s", "keys_floats", "keys_strings", "keys_tensor"};
static const label_names value_names = {"values_int64s", "values_floats", "values_strings", "values_tensor"};

static norma_string encoder_default_string(const node *node) {
  const attribute *given = node_attribute(node, "default_string");
  return given ? given->s : (norma_string){"_Unused", 7};
}

/* The default of the values' type, without default_tensor. */
static void encoder_simple_default(const node *node, label_mapping *mapping) {
  switch (mapping->values.type) {
  case NORMA_STRING:
    mapping->otherwise.string = encoder_default_string(node);
    break;
  case NORMA_FLOAT:
    mapping->otherwise.float32 = attribute_float(node, "default_float", -0.0f);
    break;
  case NORMA_DOUBLE:
    mapping->otherwise.float64 = -0.0;
    break;
  case NORMA_INT64:
    mapping->otherwise.int64 = attribute_int(node, "default_int64", -1);
    break;
  default:
    element_set_int64(mapping->values.type, &mapping->otherwise, 0, -1);
    break;
  }
}

static norma_status encoder_read_default(const node *node, label_mapping *mapping, norma_error *error) {
  static const label_names names = {.ints = NULL, .tensor = "default_tensor"};
  label_list given;
  encoder_simple_default(node, mapping);
  TRY(label_list_read(node, &names, TYPES_LABELS, &given, error));
  if (given.type == NORMA_UNDEFINED) return NORMA_OK;
  if (given.type != mapping->values.type || given.count != 1)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "default_tensor is not one element of type %s",
                         norma_element_type_name(mapping->values.type));
  memcpy(&mapping->otherwise, given.data, element_type_bytes(given.type));
  return NORMA_OK;
}

/* Version 1: mapping 0 from strings to indices, 1 back. */
static norma_status encoder_read_classes(const node *node, label_mapping *mappings, norma_error *error) {
  size_t count;
  const norma_string *classes = attribute_strings(node, "classes_strings", &count);
  int64_t *indices = region_array(node->graph->region, count, sizeof *indices);
  if (!indices) return region_error(node->graph->region, error);
  for (size_t i = 0; i < count; i++) indices[i] = (int64_t)i;
  const label_list strings = {NORMA_STRING, count, classes};
  mappings[0].values = (label_list){NORMA_INT64, count, indices};
  mappings[0].otherwise.int64 = attribute_int(node, "default_int64", -1);
  mappings[1] = (label_mapping){.key_type = NORMA_INT64, .counts = true, .values = strings};
  mappings[1].otherwise.string = encoder_default_string(node);
  return label_mapping_make(node, &mappings[0], &strings, KEY_LAST, error);
}

static norma_status label_encoder_read(const node *node, void *opaque, norma_error *error) {
  label_mapping *mapping = opaque;
  label_list keys;
  if (node->version == 1) return encoder_read_classes(node, mapping, error);
  TRY(label_list_read(node, &key_names, TYPES_LABELS, &keys, error));
  TRY(label_list_read(node, &value_names, TYPES_LABELS, &mapping->values, error));
  if (keys.type == NORMA_UNDEFINED || mapping->values.type == NORMA_UNDEFINED)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has no keys or no values");
  if (keys.count != mapping->values.count)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %zu keys and %zu values", keys.count,
                         mapping->values.count);
  mapping->by_bits = node->version == 2;
  TRY(encoder_read_default(node, mapping, error));
  return label_mapping_make(node, mapping, &keys, node->version == 2 ? KEY_FIRST : KEY_LAST, error);
}

static const operator_attribute label_encoder_attributes[] = {
    {"classes_strings", ATTRIBUTE_STRINGS, 1, 1, false},
    {"default_int64", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"default_string", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"default_float", ATTRIBUTE_FLOAT, 2, OPERATOR_LATEST, false},
    {"default_tensor", ATTRIBUTE_TENSOR, 4, OPERATOR_LATEST, false},
    {"keys_int64s", ATTRIBUTE_INTS, 2, OPERATOR_LATEST, false},
    {"keys_floats", ATTRIBUTE_FLOATS, 2, OPERATOR_LATEST, false},
    {"keys_strings", ATTRIBUTE_STRINGS, 2, OPERATOR_LATEST, false},
    {"keys_tensor", ATTRIBUTE_TENSOR, 4, OPERATOR_LATEST, false},
    {"values_int64s", ATTRIBUTE_INTS, 2, OPERATOR_LATEST, false},
    {"values_floats", ATTRIBUTE_FLOATS, 2, OPERATOR_LATEST, false},
    {"values_strings", ATTRIBUTE_STRINGS, 2, OPERATOR_LATEST, false},
    {"values_tensor", ATTRIBUTE_TENSOR, 4, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_label_encoder[] = {
    {
        .domain = "ai.onnx.ml",
        .name = "LabelEncoder",
        .versions = {1, 2, 4},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_LABELS, INPUT(0), 0}, {TYPES_LABELS, 0, OUTPUT(0)}},
        .attributes = label_encoder_attributes,
        .state_size = 2 * sizeof(label_mapping),
        .read = label_encoder_read,
        .infer = label_mapping_infer,
        .facts = {.dimension = fact_dimension_same},
        .compute = label_mapping_compute,
    },
    {0},
};
