"""The words of the ``phrasebook`` world, one line a word.

English and French stand side by side. Each English word has one French word, so every English sentence has exactly one
translation; words that would break this are left out ("you" may be tu or vous, the past of "read" is "read", "friend"
may be ami or amie).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: What a noun stands for; adjectives and verbs say which kinds they go with.
KINDS = ("person", "animal", "thing", "food", "text", "place")


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun in both languages; `gender` is the grammatical one of the French word, ``m`` or ``f``."""

    kind: str
    gender: str
    english: str
    english_plural: str
    french: str
    french_plural: str


@dataclass(frozen=True, slots=True)
class Adjective:
    """An adjective in both languages.

    Attributes:
        english: Its one form.
        before: Whether it stands before the noun in French.
        forms: French forms: masculine and feminine singular, masculine and feminine plural.
        before_vowel: The masculine singular before a vowel: ``bel``, ``nouvel``, ``vieil``.
        kinds: Kinds of nouns that it goes with.
    """

    english: str
    before: bool
    forms: tuple[str, str, str, str]
    before_vowel: str
    kinds: tuple[str, ...]

    def form(self, gender: str, plural: bool) -> str:
        """Return the French form that agrees with a noun."""
        return self.forms[2 * plural + (gender == "f")]


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb in both languages.

    Attributes:
        frame: ``direct`` (an object), ``indirect`` (a person, with à in French), ``both`` (something to a person) or
            ``none``; ``reflexive`` and ``etre`` have no object either and form their past with être.
        kinds: Kinds of nouns that can be the object.
        base: English infinitive.
        third: English third person singular.
        past: English past tense.
        progressive: English -ing form; ``-`` where it is not used; ``=`` for a state, whose past is an imparfait.
        particle: What English puts between verb and object ("for" of "look for"), or nothing.
        french: French infinitive.
    """

    frame: str
    kinds: tuple[str, ...]
    base: str
    third: str
    past: str
    progressive: str
    particle: str
    french: str


# kind, gender, English singular and plural, French singular and plural
_NOUNS = """
person m man men homme hommes
person f woman women femme femmes
person m child children enfant enfants
person f girl girls fille filles
person m boy boys garçon garçons
person m teacher teachers professeur professeurs
person m doctor doctors médecin médecins
person f mother mothers mère mères
person m father fathers père pères
person f sister sisters sœur sœurs
person m brother brothers frère frères
person f queen queens reine reines
person m king kings roi rois
person f actress actresses actrice actrices
person m engineer engineers ingénieur ingénieurs
person f aunt aunts tante tantes
person m uncle uncles oncle oncles
person f nurse nurses infirmière infirmières
person m soldier soldiers soldat soldats
person f princess princesses princesse princesses
person m judge judges juge juges
person f waitress waitresses serveuse serveuses
person m baker bakers boulanger boulangers
person f heroine heroines héroïne héroïnes
person m hero heroes héros héros
person f grandmother grandmothers grand-mère grands-mères
person m grandfather grandfathers grand-père grands-pères
person f victim victims victime victimes
person m witness witnesses témoin témoins
animal m dog dogs chien chiens
animal m cat cats chat chats
animal m horse horses cheval chevaux
animal m bird birds oiseau oiseaux
animal f cow cows vache vaches
animal f mouse mice souris souris
animal m rabbit rabbits lapin lapins
animal f goat goats chèvre chèvres
animal m donkey donkeys âne ânes
animal f hen hens poule poules
animal m owl owls hibou hiboux
animal m squirrel squirrels écureuil écureuils
animal m duck ducks canard canards
animal m hedgehog hedgehogs hérisson hérissons
thing f car cars voiture voitures
thing f table tables table tables
thing f key keys clé clés
thing m bag bags sac sacs
thing f chair chairs chaise chaises
thing m hat hats chapeau chapeaux
thing m computer computers ordinateur ordinateurs
thing f lamp lamps lampe lampes
thing m bicycle bicycles vélo vélos
thing m coat coats manteau manteaux
thing f shirt shirts chemise chemises
thing m glass glasses verre verres
thing f bottle bottles bouteille bouteilles
thing m knife knives couteau couteaux
thing f plate plates assiette assiettes
thing m mirror mirrors miroir miroirs
thing f watch watches montre montres
thing m umbrella umbrellas parapluie parapluies
thing f box boxes boîte boîtes
thing m painting paintings tableau tableaux
thing f ladder ladders échelle échelles
thing m jewel jewels bijou bijoux
thing f clock clocks horloge horloges
thing f harp harps harpe harpes
thing f ring rings bague bagues
thing f axe axes hache haches
food f apple apples pomme pommes
food m cake cakes gâteau gâteaux
food m egg eggs œuf œufs
food f orange oranges orange oranges
food f tomato tomatoes tomate tomates
food f pear pears poire poires
food m sandwich sandwiches sandwich sandwichs
food f pizza pizzas pizza pizzas
food f cherry cherries cerise cerises
food m pineapple pineapples ananas ananas
food f strawberry strawberries fraise fraises
food f oyster oysters huître huîtres
food m lobster lobsters homard homards
text m book books livre livres
text f letter letters lettre lettres
text f story stories histoire histoires
text m newspaper newspapers journal journaux
text m poem poems poème poèmes
text m article articles article articles
text m novel novels roman romans
text f song songs chanson chansons
text m report reports rapport rapports
text m speech speeches discours discours
place m garden gardens jardin jardins
place f kitchen kitchens cuisine cuisines
place f school schools école écoles
place m market markets marché marchés
place f station stations gare gares
place m hotel hotels hôtel hôtels
place m museum museums musée musées
place f church churches église églises
place m hospital hospitals hôpital hôpitaux
place m park parks parc parcs
place m castle castles château châteaux
place f library libraries bibliothèque bibliothèques
place m office offices bureau bureaux
place m airport airports aéroport aéroports
place m restaurant restaurants restaurant restaurants
place m theatre theatres théâtre théâtres
place f university universities université universités
place f forest forests forêt forêts
place m village villages village villages
"""

#: Places that one can be "at"; for the others only "in" is idiomatic.
PLACES_FOR_AT = frozenset(
    ("school", "market", "station", "hotel", "museum", "church", "hospital", "park", "castle", "library", "office",
     "airport", "restaurant", "theatre", "university")
)  # fmt: skip

# English; before or after the noun in French; masculine, feminine, their plurals; form before a vowel or -; kinds
_ADJECTIVES = """
old before vieux vieille vieux vieilles vieil person,animal,thing,text,place
new before nouveau nouvelle nouveaux nouvelles nouvel thing,text,place,person
beautiful before beau belle beaux belles bel person,animal,thing,text,place
small before petit petite petits petites - person,animal,thing,food,place
young before jeune jeune jeunes jeunes - person,animal
large before grand grande grands grandes - thing,place
good before bon bonne bons bonnes - food,text,person
bad before mauvais mauvaise mauvais mauvaises - food,text
long before long longue longs longues - text
pretty before joli jolie jolis jolies - thing,place
red after rouge rouge rouges rouges - thing,food
black after noir noire noirs noires - animal,thing
white after blanc blanche blancs blanches - animal,thing
blue after bleu bleue bleus bleues - thing
green after vert verte verts vertes - thing,food
brown after marron marron marron marron - animal,thing
happy after heureux heureuse heureux heureuses - person
sad after triste triste tristes tristes - person,text
tired after fatigué fatiguée fatigués fatiguées - person,animal
intelligent after intelligent intelligente intelligents intelligentes - person,animal
famous after célèbre célèbre célèbres célèbres - person,text,place
curious after curieux curieuse curieux curieuses - person,animal
serious after sérieux sérieuse sérieux sérieuses - person,text
patient after patient patiente patients patientes - person
shy after timide timide timides timides - person,animal
proud after fier fière fiers fières - person
jealous after jaloux jalouse jaloux jalouses - person
brave after courageux courageuse courageux courageuses - person
generous after généreux généreuse généreux généreuses - person
hungry after affamé affamée affamés affamées - animal,person
dangerous after dangereux dangereuse dangereux dangereuses - animal,place,thing
expensive after cher chère chers chères - thing,food,place
heavy after lourd lourde lourds lourdes - thing
clean after propre propre propres propres - thing,place
dirty after sale sale sales sales - thing,place,animal
useful after utile utile utiles utiles - thing,text
broken after cassé cassée cassés cassées - thing
fresh after frais fraîche frais fraîches - food
sweet after sucré sucrée sucrés sucrées - food
cold after froid froide froids froides - food
delicious after délicieux délicieuse délicieux délicieuses - food
interesting after intéressant intéressante intéressants intéressantes - text,place
boring after ennuyeux ennuyeuse ennuyeux ennuyeuses - text,place
important after important importante importants importantes - text,person
modern after moderne moderne modernes modernes - place,thing
quiet after calme calme calmes calmes - place,person
noisy after bruyant bruyante bruyants bruyantes - place,animal
dark after sombre sombre sombres sombres - place
French after français française français françaises - person,thing,food,text
Italian after italien italienne italiens italiennes - person,thing,food,text
English after anglais anglaise anglais anglaises - person,thing,text
Spanish after espagnol espagnole espagnols espagnoles - person,thing,food,text
"""

# frame; kinds of object or -; English base, third person, past, -ing or -, particle or -; French infinitive
_VERBS = """
direct person,animal,thing,food,text,place see sees saw - - voir
direct thing,food,text,animal buy buys bought buying - acheter
direct person,animal,thing,text find finds found - - trouver
direct person,animal,thing,text look looks looked looking for chercher
direct person,animal,thing,place look looks looked looking at regarder
direct food eat eats ate eating - manger
direct text write writes wrote writing - écrire
direct person,animal,food love loves loved = - aimer
direct person,text,place know knows knew = - connaître
direct thing,text,animal sell sells sold selling - vendre
direct thing,text lose loses lost losing - perdre
direct person wait waits waited waiting for attendre
direct person listen listens listened listening to écouter
direct thing,text forget forgets forgot - - oublier
direct food prepare prepares prepared preparing - préparer
direct thing,place clean cleans cleaned cleaning - nettoyer
direct thing,place,animal paint paints painted painting - peindre
direct person,animal follow follows followed following - suivre
direct person help helps helped helping - aider
direct person thank thanks thanked thanking - remercier
direct person invite invites invited inviting - inviter
direct thing,animal wash washes washed washing - laver
direct thing,food,text bring brings brought bringing - apporter
direct thing,text,food hide hides hid hiding - cacher
direct thing,text,food,place choose chooses chose choosing - choisir
direct text finish finishes finished finishing - finir
direct text translate translates translated translating - traduire
direct thing,animal,person draw draws drew drawing - dessiner
direct thing break breaks broke - - casser
direct person,place,thing admire admires admired = - admirer
direct place visit visits visited visiting - visiter
direct thing,animal carry carries carried carrying - porter
indirect person call calls called calling - téléphoner
indirect person talk talks talked talking to parler
indirect person answer answers answered answering - répondre
indirect person smile smiles smiled smiling at sourire
indirect person obey obeys obeyed - - obéir
both thing,text,food give gives gave giving to donner
both thing,text show shows showed showing to montrer
both thing,text,food send sends sent sending to envoyer
both thing,text,food offer offers offered offering to offrir
both thing,text lend lends lent lending to prêter
none - sleep sleeps slept sleeping - dormir
none - work works worked working - travailler
none - sing sings sang singing - chanter
none - dance dances danced dancing - danser
none - cry cries cried crying - pleurer
none - laugh laughs laughed laughing - rire
none - run runs ran running - courir
none - walk walks walked walking - marcher
none - travel travels travelled travelling - voyager
none - swim swims swam swimming - nager
etre - arrive arrives arrived - - arriver
etre - leave leaves left - - partir
etre - fall falls fell - - tomber
etre - stay stays stayed - - rester
etre - come comes came - back revenir
etre - go goes went - out sortir
reflexive - get gets got - up lever
reflexive - rest rests rested resting - reposer
reflexive - wake wakes woke - up réveiller
reflexive - hide hides hid - - cacher
reflexive - hurry hurries hurried - - dépêcher
"""

#: Principal parts of irregular verbs: présent of je, il, nous, ils; the stems of imparfait and futur; the participle.
IRREGULAR: Mapping[str, tuple[str, ...]] = {
    verb: tuple(parts.split())
    for verb, parts in {
        "être": "suis est sommes sont ét ser été",
        "avoir": "ai a avons ont av aur eu",
        "vouloir": "veux veut voulons veulent voul voudr voulu",
        "pouvoir": "peux peut pouvons peuvent pouv pourr pu",
        "devoir": "dois doit devons doivent dev devr dû",
        "voir": "vois voit voyons voient voy verr vu",
        "acheter": "achète achète achetons achètent achet achèter acheté",
        "écrire": "écris écrit écrivons écrivent écriv écrir écrit",
        "connaître": "connais connaît connaissons connaissent connaiss connaîtr connu",
        "nettoyer": "nettoie nettoie nettoyons nettoient nettoy nettoier nettoyé",
        "peindre": "peins peint peignons peignent peign peindr peint",
        "suivre": "suis suit suivons suivent suiv suivr suivi",
        "traduire": "traduis traduit traduisons traduisent traduis traduir traduit",
        "sourire": "souris sourit sourions sourient souri sourir souri",
        "rire": "ris rit rions rient ri rir ri",
        "envoyer": "envoie envoie envoyons envoient envoy enverr envoyé",
        "offrir": "offre offre offrons offrent offr offrir offert",
        "dormir": "dors dort dormons dorment dorm dormir dormi",
        "courir": "cours court courons courent cour courr couru",
        "partir": "pars part partons partent part partir parti",
        "sortir": "sors sort sortons sortent sort sortir sorti",
        "revenir": "reviens revient revenons reviennent reven reviendr revenu",
        "lever": "lève lève levons lèvent lev lèver levé",
    }.items()
}

#: First names: grammatical gender and the name, the same in both languages.
NAMES = (
    ("m", "Paul"), ("f", "Marie"), ("m", "Lucas"), ("f", "Julie"), ("m", "Antoine"), ("f", "Alice"), ("m", "Thomas"),
    ("f", "Emma"), ("m", "Nicolas"), ("f", "Sophie"), ("m", "Oscar"), ("f", "Claire"), ("m", "Louis"), ("f", "Inès"),
)  # fmt: skip

#: French words whose first h keeps the article whole (h aspiré); every other first h is mute.
ASPIRATED = frozenset(
    ("héros", "hibou", "hiboux", "hérisson", "hérissons", "harpe", "harpes", "hache", "haches", "homard", "homards")
)


def _nouns() -> tuple[Noun, ...]:
    return tuple(Noun(*line.split()) for line in _NOUNS.strip().splitlines())


def _adjectives() -> tuple[Adjective, ...]:
    rows = (line.split() for line in _ADJECTIVES.strip().splitlines())
    return tuple(
        Adjective(
            english, side == "before", (one, two, three, four), "" if vowel == "-" else vowel, tuple(kinds.split(","))
        )
        for english, side, one, two, three, four, vowel, kinds in rows
    )


def _verbs() -> tuple[Verb, ...]:
    rows = (line.split() for line in _VERBS.strip().splitlines())
    return tuple(
        Verb(frame, () if kinds == "-" else tuple(kinds.split(",")), base, third, past, progressive,
             "" if particle == "-" else particle, french)
        for frame, kinds, base, third, past, progressive, particle, french in rows
    )  # fmt: skip


NOUNS = _nouns()
ADJECTIVES = _adjectives()
VERBS = _verbs()
