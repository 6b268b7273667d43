"""Names for generated people. Any likeness to a living person is chance."""

import random

_NORWEGIAN_FIRST = """
Aksel Amalie Anders Andrea Anja Anne Arne Asbjørn Astrid Aud Berit Birgit Bjarne Bjørn Bodil Brage Camilla Dag
Ebba Eirik Eli Elin Emil Erlend Espen Eva Even Fredrik Frida Frode Geir Gerd Grete Gro Gunn Gunnar Guro Hanna
Hans Harald Hedda Hege Helge Helene Henrik Hilde Håkon Idunn Ingeborg Inger Ingrid Iselin Ivar Jan Jens Johanne
Jonas Jorunn Julie Jørgen Kaja Kari Karin Kjell Kjersti Knut Kristin Lars Leif Lise Liv Magne Magnus Mari Marit
Marte Mathias Mette Mona Morten Nils Nina Nora Odd Ola Olav Olea Oskar Per Petter Ragnhild Randi Rolf Roar Ruben
Rune Sara Selma Sigrid Silje Sindre Siri Sissel Solveig Stein Stian Sunniva Svein Synne Synnøve Terje Thea Tone
Tor Torbjørn Tore Toril Torunn Trine Trond Trygve Tuva Turid Ulrik Unni Vegard Vera Vidar Vilde Wenche Yngve
Øystein Øyvind Åse Åshild
"""
_NORWEGIAN_LAST = """
Aas Aasen Amundsen Andersen Bakke Bakken Berg Berge Bjerke Bjørnstad Brekke Bråten Bøe Dahl Dale Dyrnes Eide
Eikeland Engen Eriksen Evensen Fjeld Fossum Foss Fredriksen Gran Grønli Gulbrandsen Gundersen Hagen Halvorsen
Hansen Haugen Haugland Helland Henriksen Hermansen Hovland Isaksen Iversen Jacobsen Jensen Johannessen Karlsen
Knutsen Kristiansen Kvam Larsen Lien Lund Lunde Løken Martinsen Mathisen Moe Moen Mork Myhre Myklebust Ness
Nygård Nilsen Nordby Olsen Opdahl Paulsen Pettersen Rasmussen Rognli Rustad Rød Sagen Sandnes Sandvik Selnes
Skaar Skoglund Solbakken Solberg Solheim Stene Strand Strøm Sunde Sveen Sæther Sørensen Tangen Thorsen Tveit
Ulvestad Vatne Vik Viken Ødegård Østby Åsheim
"""
_ECUADORIAN_FIRST = """
Alba Andrés Belén Bolívar Camila Carlos Carmen Daniela Diego Doménica Elena Emilia Esteban Fernanda Francisco
Gabriela Galo Gustavo Hernán Inés Isabel Iván Javier Jorge José Juana Kléver Leonor Lorena Lucía Luis Manuel
Marcelo María Marisol Mateo Mercedes Mónica Nelson Noemí Óscar Pablo Patricia Paulina Ramiro Rosa Santiago Sofía
Tamara Valeria Wilson Ximena
"""
_ECUADORIAN_LAST = """
Aguirre Alvarado Andrade Arroyo Benítez Bravo Cabrera Caicedo Cárdenas Castro Cedeño Chávez Córdova Delgado
Espinoza Franco Guerrero Herrera Jaramillo Lara León Macías Mendoza Mora Moreira Muñoz Navarrete Ochoa Ordóñez
Paredes Pincay Quiroz Reyes Rivadeneira Salazar Solórzano Tapia Toala Valencia Vera Villacís Zambrano
"""


class Names:
    """Full names, no two alike within one instance, so that a name tells a person in a list."""

    def __init__(self, rng: random.Random, language: str) -> None:
        """`language`: `nb` (Norwegian) or `es` (Ecuadorian Spanish)."""
        self._rng = rng
        first, last = (_NORWEGIAN_FIRST, _NORWEGIAN_LAST) if language == "nb" else (_ECUADORIAN_FIRST, _ECUADORIAN_LAST)
        self._first, self._last = first.split(), last.split()
        self._taken: set[str] = set()

    def full(self) -> str:
        """A first and a last name that were not given out before."""
        while True:
            name = f"{self._rng.choice(self._first)} {self._rng.choice(self._last)}"
            if name not in self._taken:
                self._taken.add(name)
                return name

    def short(self) -> str:
        """A first name and an initial, as contacts are noted; may repeat."""
        return f"{self._rng.choice(self._first)} {self._rng.choice(self._last)[0]}."
