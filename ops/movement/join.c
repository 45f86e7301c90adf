#include "ops/movement/join.h"

static shape join_shapes(const shape *a, const shape *b) {
  if (a->rank != b->rank) return shape_unknown();
  shape joined = *a;
  for (int i = 0; i < a->rank; i++) {
    if (a->dims[i] != b->dims[i]) joined.dims[i] = DIM_UNKNOWN;
  }
  return joined;
}

value_info *infer_new_item(infer_context *context, const value_info *contents, norma_status *status) {
  value_info *item = region_allocate(context->region, sizeof *item);
  *status = item ? NORMA_OK : region_error(context->region, context->error);
  if (item) *item = *contents;
  return item;
}

norma_status infer_join(infer_context *context, value_info *into, const value_info *from, const char *what) {
  static const char *const kinds[] = {"nothing", "a tensor", "a sequence", "an optional", "a map"};
  if (into->kind != NORMA_VALUE_NONE && from->kind != NORMA_VALUE_NONE && into->kind != from->kind) {
    return infer_fail(context, "%s is %s and %s", what, kinds[into->kind], kinds[from->kind]);
  }
  if (into->type != NORMA_UNDEFINED && from->type != NORMA_UNDEFINED && into->type != from->type) {
    return infer_fail(context, "%s has element types %s and %s", what, norma_element_type_name(into->type),
                      norma_element_type_name(from->type));
  }
  if (into->kind == NORMA_VALUE_NONE) into->kind = from->kind;
  if (into->type == NORMA_UNDEFINED) into->type = from->type;
  into->shape = join_shapes(&into->shape, &from->shape);
  if (!into->item || !from->item) {
    if (!into->item) into->item = from->item;
    if (!into->item) return NORMA_OK;
    value_info loose = *into->item; /* the other one's elements may be of any shape */
    loose.shape = shape_unknown();
    norma_status status;
    into->item = infer_new_item(context, &loose, &status);
    return status;
  }
  norma_status status;
  value_info *item = infer_new_item(context, into->item, &status);
  TRY(status);
  into->item = item;
  return infer_join(context, item, from->item, what);
}
