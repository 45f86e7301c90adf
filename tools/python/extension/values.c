#include "module.h"

#define VALUES_MOST_NESTED 48 /* containers within each other, as norma.h has it */

static norma_value *values_from(module_state *state, norma_runtime *runtime, PyObject *object, const norma_type *type,
                                int depth);

/* What a constructor has made, NULL with an exception where it failed. */
static norma_value *values_check(const module_state *state, norma_status status, norma_value *const *made,
                                 const norma_error *error) {
  if (status == NORMA_OK) return *made;
  errors_raise(state, error);
  return NULL;
}

/* ---------------------------------------------------------------------------------------------------------- tensors */

/* Elements of an array of str or bytes, as bytes; NULL: an exception is set. */
static PyObject *values_encoded(PyArrayObject *array) {
  PyObject *flat = PyArray_Ravel(array, NPY_CORDER);
  PyObject *list = flat ? PyObject_CallMethod(flat, "tolist", NULL) : NULL;
  Py_XDECREF(flat);
  const Py_ssize_t count = list ? PyList_Size(list) : 0;
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject *element = PyList_GetItem(list, i);
    if (!PyUnicode_Check(element) && !PyBytes_Check(element)) {
      PyErr_Format(PyExc_TypeError, "element %zd is a %R, expected str or bytes", i, (PyObject *)Py_TYPE(element));
      Py_CLEAR(list);
      break;
    }
    PyObject *bytes = text_bytes(element);
    if (!bytes || PyList_SetItem(list, i, bytes) != 0) {
      Py_CLEAR(list);
      break;
    }
  }
  return list;
}

static norma_value *values_from_strings(const module_state *state, norma_runtime *runtime, PyArrayObject *array,
                                        const norma_tensor *tensor) {
  PyObject *list = values_encoded(array);
  if (!list) return NULL;
  const Py_ssize_t count = PyList_Size(list);
  norma_string *strings = PyMem_Calloc(count > 0 ? (size_t)count : 1, sizeof *strings);
  norma_value *value = NULL;
  if (strings) {
    for (Py_ssize_t i = 0; i < count; i++) {
      PyObject *bytes = PyList_GetItem(list, i);
      strings[i] = (norma_string){PyBytes_AsString(bytes), (size_t)PyBytes_Size(bytes)};
    }
    norma_error error;
    const norma_status status =
        norma_value_create_strings(runtime, tensor->rank, tensor->dims, strings, &value, &error);
    value = values_check(state, status, &value, &error);
    PyMem_Free(strings);
  } else {
    PyErr_NoMemory();
  }
  Py_DECREF(list);
  return value;
}

static norma_value *values_from_array(const module_state *state, norma_runtime *runtime, PyArrayObject *array,
                                      const norma_tensor *tensor) {
  norma_value *value;
  norma_error error;
  if (tensor->type == NORMA_STRING) return values_from_strings(state, runtime, array, tensor);
  if (!arrays_is_packed(tensor->type)) {
    return values_check(state, norma_value_create_tensor(runtime, tensor, &value, &error), &value, &error);
  }
  const norma_status status =
      norma_value_allocate_tensor(runtime, tensor->type, tensor->rank, tensor->dims, &value, &error);
  if (!values_check(state, status, &value, &error)) return NULL;
  const norma_tensor *packed = norma_value_tensor(value);
  arrays_pack(PyArray_DATA(array), norma_tensor_count(packed), packed->type, packed->data);
  return value;
}

static norma_value *values_from_tensor(module_state *state, norma_runtime *runtime, PyObject *object,
                                       norma_element_type type) {
  norma_tensor tensor;
  PyArrayObject *array = arrays_from_object(state, object, type, &tensor);
  if (!array) return NULL;
  norma_value *value = values_from_array(state, runtime, array, &tensor);
  Py_DECREF(array);
  return value;
}

/* ------------------------------------------------------------------------------------------------------- containers */

static norma_value *values_from_list(module_state *state, norma_runtime *runtime, PyObject *object,
                                     const norma_type *item, int depth) {
  PyObject *list = PySequence_List(object);
  if (!list) return NULL;
  const Py_ssize_t count = PyList_Size(list);
  norma_value **elements = PyMem_Calloc(count > 0 ? (size_t)count : 1, sizeof *elements);
  norma_value *value = NULL;
  Py_ssize_t made = 0;
  if (!elements) PyErr_NoMemory();
  while (elements && made < count) {
    elements[made] = values_from(state, runtime, PyList_GetItem(list, made), item, depth + 1);
    if (!elements[made]) break;
    made++;
  }
  if (elements && made == count) {
    norma_error error;
    const norma_status status =
        norma_value_create_sequence(runtime, (const norma_value *const *)elements, (size_t)count, &value, &error);
    value = values_check(state, status, &value, &error);
  }
  for (Py_ssize_t i = 0; i < made; i++) norma_value_destroy(elements[i]);
  PyMem_Free(elements);
  Py_DECREF(list);
  return value;
}

/* Whether all elements of a list are single numbers or strings. */
static bool values_are_single(PyObject *list) {
  const Py_ssize_t count = PyList_Size(list);
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject *element = PyList_GetItem(list, i);
    const bool is_container = PyList_Check(element) || PyTuple_Check(element) || PyDict_Check(element) ||
                              element == Py_None ||
                              (PyArray_Check(element) && PyArray_NDIM((PyArrayObject *)element) > 0);
    if (is_container) return false;
  }
  return true;
}

static norma_value *values_from_dict(module_state *state, norma_runtime *runtime, PyObject *object,
                                     const norma_type *type, int depth) {
  PyObject *keys = PyDict_Keys(object), *items = PyDict_Values(object);
  const norma_type *item = norma_type_item(type);
  norma_value *key_value = NULL, *item_value = NULL, *value = NULL;
  if (keys && items) {
    norma_element_type key_type = norma_type_element(type);
    if (key_type == NORMA_UNDEFINED && PyList_Size(keys) == 0) key_type = NORMA_INT64;
    key_value = values_from_tensor(state, runtime, keys, key_type);
  }
  if (key_value) {
    const bool is_tensor = norma_type_kind(item) == NORMA_VALUE_TENSOR || norma_type_kind(item) == NORMA_VALUE_NONE;
    item_value = is_tensor && values_are_single(items)
                     ? values_from_tensor(state, runtime, items, norma_type_element(item))
                     : values_from_list(state, runtime, items, item, depth);
  }
  if (item_value) {
    norma_error error;
    value = values_check(state, norma_value_create_map(runtime, key_value, item_value, &value, &error), &value, &error);
  }
  norma_value_destroy(key_value);
  norma_value_destroy(item_value);
  Py_XDECREF(keys);
  Py_XDECREF(items);
  return value;
}

static norma_value *values_from_optional(module_state *state, norma_runtime *runtime, PyObject *object,
                                         const norma_type *item, int depth) {
  norma_value *element = NULL, *value;
  if (object != Py_None) {
    element = values_from(state, runtime, object, item, depth + 1);
    if (!element) return NULL;
  }
  norma_error error;
  value = values_check(state, norma_value_create_optional(runtime, element, &value, &error), &value, &error);
  norma_value_destroy(element);
  return value;
}

/* What an object is where the model does not say. */
static norma_value_kind values_guess(PyObject *object) {
  if (object == Py_None) return NORMA_VALUE_OPTIONAL;
  if (PyDict_Check(object)) return NORMA_VALUE_MAP;
  const bool is_list = PyList_Check(object) && PyList_Size(object) > 0;
  return is_list && !values_are_single(object) ? NORMA_VALUE_SEQUENCE : NORMA_VALUE_TENSOR;
}

static norma_value *values_from(module_state *state, norma_runtime *runtime, PyObject *object, const norma_type *type,
                                int depth) {
  norma_value_kind kind = norma_type_kind(type);
  if (kind == NORMA_VALUE_NONE) kind = values_guess(object);
  if (depth > VALUES_MOST_NESTED) {
    PyErr_SetString(PyExc_ValueError, "too many containers within each other");
    return NULL;
  }
  if (kind == NORMA_VALUE_OPTIONAL) {
    return values_from_optional(state, runtime, object, norma_type_item(type), depth);
  }
  if (object == Py_None) {
    PyErr_SetString(PyExc_TypeError, "None, where the model wants a value");
    return NULL;
  }
  if (kind == NORMA_VALUE_TENSOR) return values_from_tensor(state, runtime, object, norma_type_element(type));
  const bool is_good = kind == NORMA_VALUE_MAP ? PyDict_Check(object) : PyList_Check(object) || PyTuple_Check(object);
  if (!is_good) {
    PyErr_Format(PyExc_TypeError, "a %R, where the model wants a %s", (PyObject *)Py_TYPE(object),
                 kind == NORMA_VALUE_MAP ? "dict" : "list");
    return NULL;
  }
  if (kind == NORMA_VALUE_MAP) return values_from_dict(state, runtime, object, type, depth);
  return values_from_list(state, runtime, object, norma_type_item(type), depth);
}

norma_value *values_from_object(module_state *state, norma_runtime *runtime, PyObject *object, const norma_type *type) {
  return values_from(state, runtime, object, type, 0);
}

/* ---------------------------------------------------------------------------------------------------------- objects */

static PyObject *values_to_list(module_state *state, const norma_value *value) {
  const size_t count = norma_value_count(value);
  PyObject *list = PyList_New((Py_ssize_t)count);
  for (size_t i = 0; list && i < count; i++) {
    PyObject *element = values_to_object(state, norma_value_element(value, i));
    if (!element || PyList_SetItem(list, (Py_ssize_t)i, element) != 0) Py_CLEAR(list);
  }
  return list;
}

/* A tensor of rank 1 as a list of Python's own numbers and strings; a sequence as a list. */
static PyObject *values_to_items(module_state *state, const norma_value *value) {
  PyObject *object = values_to_object(state, value);
  if (!object || !PyArray_Check(object)) return object;
  PyObject *list = PyObject_CallMethod(object, "tolist", NULL);
  Py_DECREF(object);
  return list;
}

static PyObject *values_to_dict(module_state *state, const norma_value *value) {
  PyObject *keys = values_to_items(state, norma_value_element(value, 0));
  PyObject *items = keys ? values_to_items(state, norma_value_element(value, 1)) : NULL;
  PyObject *dict = items ? PyDict_New() : NULL;
  const Py_ssize_t count = dict ? PyList_Size(keys) : 0;
  for (Py_ssize_t i = 0; dict && i < count; i++) {
    PyObject *item = PyList_GetItem(items, i);
    if (!item || PyDict_SetItem(dict, PyList_GetItem(keys, i), item) != 0) Py_CLEAR(dict);
  }
  Py_XDECREF(keys);
  Py_XDECREF(items);
  return dict;
}

PyObject *values_to_object(module_state *state, const norma_value *value) {
  switch (value ? norma_value_get_kind(value) : NORMA_VALUE_NONE) {
  case NORMA_VALUE_TENSOR:
    return arrays_copy(state, norma_value_tensor(value));
  case NORMA_VALUE_SEQUENCE:
    return values_to_list(state, value);
  case NORMA_VALUE_MAP:
    return values_to_dict(state, value);
  case NORMA_VALUE_OPTIONAL:
    if (norma_value_count(value) > 0) return values_to_object(state, norma_value_element(value, 0));
    break;
  default:
    break;
  }
  Py_RETURN_NONE;
}
