#include "ops/ml/map_input.h"

norma_status infer_map_input(infer_context *context, type_mask key_types, type_mask value_types,
                             norma_element_type *key_type, norma_element_type *value_type) {
  const value_info *info = context->inputs[0];
  *key_type = *value_type = NORMA_UNDEFINED;
  if (!info || info->kind == NORMA_VALUE_NONE) return NORMA_OK;
  if (info->kind != NORMA_VALUE_MAP) return infer_fail(context, "input 0 is not a map");
  *key_type = info->type;
  if (info->item && info->item->kind == NORMA_VALUE_TENSOR) *value_type = info->item->type;
  if (*key_type != NORMA_UNDEFINED && !(TYPE_BIT(*key_type) & key_types))
    return infer_fail(context, "takes no map with keys of type %s", norma_element_type_name(*key_type));
  if (*value_type != NORMA_UNDEFINED && !(TYPE_BIT(*value_type) & value_types))
    return infer_fail(context, "takes no map with values of type %s", norma_element_type_name(*value_type));
  return NORMA_OK;
}

/* Single elements as one tensor, which lives until compute ends. */
static norma_status gather_map_values(run_context *context, const value_list *list, norma_element_type otherwise,
                                      norma_tensor *gathered) {
  const norma_element_type type = list->count > 0 ? list->items[0].tensor.type : otherwise;
  const size_t bytes = element_type_bytes(type);
  void *block;
  for (int64_t i = 0; i < list->count; i++) {
    const norma_tensor *item = norma_value_tensor(&list->items[i]);
    if (!item || item->type != type || norma_tensor_count(item) != 1)
      return run_fail(context, NORMA_ERROR_RUN, "the map's values are not single elements of one type");
  }
  TRY(run_allocate_temporary(context, (size_t)list->count * bytes, &block));
  for (int64_t i = 0; i < list->count; i++)
    memcpy((char *)block + (size_t)i * bytes, list->items[i].tensor.data, bytes);
  norma_tensor_init(gathered, type, 1, &list->count, block);
  return NORMA_OK;
}

norma_status run_map_input(run_context *context, type_mask key_types, type_mask value_types,
                           norma_element_type otherwise, map_input *map) {
  const value *input = context->inputs[0];
  if (!input || input->kind != NORMA_VALUE_MAP || input->list->count != 2)
    return run_fail(context, NORMA_ERROR_RUN, "input 0 is not a map");
  const value *values = &input->list->items[1];
  map->keys = norma_value_tensor(&input->list->items[0]);
  map->values = norma_value_tensor(values);
  if (values->kind == NORMA_VALUE_SEQUENCE) {
    TRY(gather_map_values(context, values->list, otherwise, &map->gathered));
    map->values = &map->gathered;
  }
  if (!map->keys || !map->values || !(TYPE_BIT(map->keys->type) & key_types) ||
      !(TYPE_BIT(map->values->type) & value_types))
    return run_fail(context, NORMA_ERROR_RUN, "the map has keys or values of another type");
  map->count = norma_tensor_count(map->keys);
  if (norma_tensor_count(map->values) != map->count)
    return run_fail(context, NORMA_ERROR_RUN, "the map has more keys than values, or fewer");
  return NORMA_OK;
}
