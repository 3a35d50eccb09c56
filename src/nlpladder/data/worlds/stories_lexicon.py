"""The words of the ``stories`` world, one tuple a class, most frequent first.

Every word belongs to one class only and is no function word of a rule; the exact floors of the world rest on that (see
``automaton.py``) and the automaton checks it. Singular and plural forms stand in the same order, so that a noun is as
frequent in the plural as in the singular. Words after "a" begin with a consonant.
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


MEN = _words("""
    Tom Jack Peter Daniel Henry Oliver Samuel Arthur Frank Walter Martin Victor Simon Albert Edgar Hugo Felix Conrad
    Leonard Otto Rupert Silas Jasper Ambrose
""")
WOMEN = _words("""
    Anna Mary Lucy Emma Sarah Clara Alice Helen Nora Julia Martha Edith Rosa Irene Flora Greta Vera Agnes Hilda Sylvia
    Beatrice Ottilie Winifred Philippa
""")
#: What a story is about: a pet; "dog" is found again sentences later, and says what it does.
PETS = _words("dog cat parrot horse rabbit")
PET_VERBS = {
    "dog": _words("barks growls digs"),
    "cat": _words("purrs meows scratches"),
    "parrot": _words("squawks whistles flutters"),
    "horse": _words("neighs gallops trots"),
    "rabbit": _words("hops nibbles burrows"),
}
PET_ADJECTIVES = _words("small clever lazy brown white loyal nervous friendly plump stubborn")
HOMES = _words("village town house cottage city castle valley harbour flat tower lighthouse monastery")
HOME_ADJECTIVES = _words("quiet little busy remote sunny narrow foggy crowded peaceful windy")
JOBS = _words("""
    teacher doctor farmer baker painter writer driver sailor gardener cook tailor lawyer singer miller printer barber
    carpenter watchmaker beekeeper shepherd
""")
SINGULAR_NOUNS = _words("""
    key letter chair window book child neighbour table door clock bird picture boat lamp tree bottle farm bridge road
    flower coat basket candle kettle ladder mirror violin garden fence barrel wheel carpet bell drawer hammer lantern
    pillow shovel teapot umbrella thimble compass
""")
PLURAL_NOUNS = _words("""
    keys letters chairs windows books children neighbours tables doors clocks birds pictures boats lamps trees bottles
    farms bridges roads flowers coats baskets candles kettles ladders mirrors violins gardens fences barrels wheels
    carpets bells drawers hammers lanterns pillows shovels teapots umbrellas thimbles compasses
""")
NOUN_ADJECTIVES = _words("old new broken heavy strange pale wooden forgotten golden curious rusty elegant")
PREPOSITIONS = _words("near behind beside under above")
SINGULAR_STATES = _words("was seems looks remains")
PLURAL_STATES = _words("were seem look remain")
STATE_ADJECTIVES = _words("lost important beautiful ready safe ugly famous cheap missing useful hidden familiar")
SINGULAR_RELATION_VERBS = _words("hides touches blocks follows resembles covers")
PLURAL_RELATION_VERBS = _words("hide touch block follow resemble cover")
SEEN = _words("saw found bought painted wanted sold remembered drew carried cleaned described")
OBJECTS = _words("""
    map ring knife song hat stone cake poem ship story box mushroom necklace pumpkin puzzle kite telescope medal
    sandwich blanket sledge harp
""")
FEELINGS = _words("happy tired sad proud hungry afraid calm angry thirsty lonely bored cheerful jealous restless")
TIMES = _words("later then afterwards finally soon")
FRIENDS = _words("mother father sister brother aunt uncle friend cousin grandmother nephew")
SHINY = _words("water glass ice silver")
PLACES = _words("park market school forest river beach church library station museum bakery mill")
