"""Messages of Debian's protocol buffers, built from tables of our own, so that nothing of Estiba's own encoding takes part."""
import re

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def messages_of(table):
    """By name. A line a message; a field is NAME=NUMBER, then ":" and its type unless it is a string; "*" before the type: repeated; "<>": a map
    of strings."""
    file = descriptor_pb2.FileDescriptorProto(name="table.proto", package="t", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for line in table.strip().splitlines():
        name, *fields = line.split(" ")
        message = file.message_type.add(name=name)
        for text in fields:
            label, number, repeated, kind = re.fullmatch(r"(\w+)=(\d+)(?::(\*?)(\S*))?", text).groups()
            field = message.field.add(name=label, number=int(number), label=kinds.LABEL_REPEATED if repeated or kind == "<>" else kinds.LABEL_OPTIONAL)
            if kind == "<>":
                entry = "".join(part.capitalize() for part in label.split("_")) + "Entry"
                pair = message.nested_type.add(name=entry)
                pair.options.map_entry = True
                for at, part in enumerate(("key", "value"), 1):
                    pair.field.add(name=part, number=at, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".t.{name}.{entry}"
            elif kind and kind[0].isupper():
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".t.{kind}"
            else:
                field.type = getattr(kinds, "TYPE_" + (kind or "string").upper())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return {message.name: factory.GetPrototype(pool.FindMessageTypeByName("t." + message.name)) for message in file.message_type}
